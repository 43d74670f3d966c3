//! Minimum-cost flow by successive shortest paths, as small as placement needs it.

use std::collections::VecDeque;

/// A network of edges with capacities and costs, and the flow through it; vertex 0 is the source, vertex 1 the sink.
///
/// As long as every unit was sent along a cheapest path, the flow is the cheapest of its size. Callers that push units
/// themselves keep to that.
pub(super) struct Flow {
    /// Edges and their reverses, in pairs: `e ^ 1` is the other direction of `e`.
    edges: Vec<Edge>,
    /// By vertex.
    leaving: Vec<Vec<usize>>,
}

struct Edge {
    to: usize,
    room: u32,
    cost: i64,
}

impl Flow {
    pub(super) fn new(vertices: usize) -> Self {
        Self { edges: Vec::new(), leaving: vec![Vec::new(); vertices] }
    }

    /// Adds an edge and returns its number.
    pub(super) fn edge(&mut self, from: usize, to: usize, room: u32, cost: i64) -> usize {
        let number = self.edges.len();
        self.edges.push(Edge { to, room, cost });
        self.edges.push(Edge { to: from, room: 0, cost: -cost });
        self.leaving[from].push(number);
        self.leaving[to].push(number + 1);
        number
    }

    /// The units on an edge.
    pub(super) fn used(&self, edge: usize) -> u32 {
        self.edges[edge ^ 1].room
    }

    /// Sends a unit along `path` if every edge of it has room.
    pub(super) fn push(&mut self, path: &[usize]) -> bool {
        let open = path.iter().all(|&edge| self.edges[edge].room > 0);
        if open {
            for &edge in path {
                self.edges[edge].room -= 1;
                self.edges[edge ^ 1].room += 1;
            }
        }
        open
    }

    /// Sends units along cheapest paths while one of at most `cost_max` is left.
    pub(super) fn augment(&mut self, cost_max: i64) {
        while let Some((cost, path)) = self.cheapest_path() {
            if cost > cost_max {
                return;
            }
            let pushed = self.push(&path);
            debug_assert!(pushed, "a path was found through a full edge");
        }
    }

    /// Bellman-Ford with a queue, since reverse edges have negative costs.
    fn cheapest_path(&self) -> Option<(i64, Vec<usize>)> {
        const FAR: i64 = i64::MAX / 2;
        let mut distance = vec![FAR; self.leaving.len()];
        let mut arrived_by = vec![usize::MAX; self.leaving.len()];
        let mut queued = vec![false; self.leaving.len()];
        let mut queue = VecDeque::from([0]);
        distance[0] = 0;
        while let Some(vertex) = queue.pop_front() {
            queued[vertex] = false;
            for &number in &self.leaving[vertex] {
                let edge = &self.edges[number];
                let through = distance[vertex] + edge.cost;
                if edge.room > 0 && through < distance[edge.to] {
                    distance[edge.to] = through;
                    arrived_by[edge.to] = number;
                    if !queued[edge.to] {
                        queued[edge.to] = true;
                        queue.push_back(edge.to);
                    }
                }
            }
        }
        if distance[1] == FAR {
            return None;
        }
        let mut path = Vec::new();
        let mut vertex = 1;
        while vertex != 0 {
            path.push(arrived_by[vertex]);
            vertex = self.edges[arrived_by[vertex] ^ 1].to;
        }
        path.reverse();
        Some((distance[1], path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cheaper_later_choice_displaces_an_earlier_one() {
        // Two jobs, two hands: the first job alone would take hand 2, the only hand that the second job can use.
        let mut flow = Flow::new(6);
        let (job_a, job_b, hand_1, hand_2) = (2, 3, 4, 5);
        flow.edge(0, job_a, 1, 0);
        flow.edge(0, job_b, 1, 0);
        let a1 = flow.edge(job_a, hand_1, 1, 1);
        let a2 = flow.edge(job_a, hand_2, 1, 0);
        let b2 = flow.edge(job_b, hand_2, 1, 0);
        flow.edge(hand_1, 1, 1, 0);
        flow.edge(hand_2, 1, 1, 0);
        flow.augment(0);
        assert_eq!(flow.used(a1) + flow.used(a2) + flow.used(b2), 1);
        flow.augment(i64::MAX);
        assert_eq!((flow.used(a1), flow.used(a2), flow.used(b2)), (1, 0, 1));
    }
}
