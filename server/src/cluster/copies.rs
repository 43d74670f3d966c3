//! The copies that this node holds: started, stopped and reshaped as the directory has it.
//!
//! What the directory records is followed ([`Copies::follow`]); what its leader orders is carried out
//! ([`Copies::order`]). A partition whose only voter is this node and which never had another copy is solo: it has no
//! group. The first order that gives it a second copy makes it a group.

use super::directory::{MembershipId, PartitionRecord};
use super::orders::{Order, OrderKind, OrderReply};
use super::routes::Routes;
use crate::ids::{CopyId, NodeNo, PartitionId};
use crate::raft::BeatRuntime;
use crate::raft::codec::Reader;
use crate::raft::upkeep::Spawn;
use crate::raft::{Group, GroupHost, Partition, ReshapeError, Role, Start, read_address, refusal};
use bytes::{BufMut, Bytes, BytesMut};
use openraft::{AsyncRuntime, Instant};
use parking_lot::RwLock;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Sends a message to all peers.
pub type Hint = Arc<dyn Fn(&Bytes) + Send + Sync>;

/// How long copies that are added may take to catch up before the order is given up (and given again).
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(120);
/// Between samples of the leases.
const SAMPLE_PERIOD: Duration = Duration::from_millis(25);
/// Items that a node tells its followers of in one upkeep period: with some tenths of a microsecond an item, at both
/// ends, a few hundredths of a core.
const TOLD_ITEMS: usize = 3072;
/// Between looks at logs, and between unasked hints of who leads.
const UPKEEP_PERIOD: Duration = Duration::from_millis(100);
/// Drift between boot and monotonic time that shows a suspension, nanoseconds.
const JUMP_NS: u64 = 5_000_000;

/// What the directory says of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Grows when a group is begun anew.
    pub generation: u32,
    /// The copies that vote, as last settled.
    pub voters: Vec<CopyId>,
    /// Copies that may have become voters since.
    pub planned: Vec<CopyId>,
    /// The nodes that shall hold copies.
    pub target: Vec<NodeNo>,
}

impl From<&PartitionRecord> for Assignment {
    fn from(record: &PartitionRecord) -> Self {
        Self {
            generation: record.generation,
            voters: record.voters.clone(),
            target: record.target.clone(),
            planned: record.planned.iter().flatten().copied().collect(),
        }
    }
}

struct Slot<RT: AsyncRuntime> {
    group: RwLock<Option<Arc<Group<RT>>>>,
    /// One change of a copy's life at a time.
    turn: tokio::sync::Mutex<()>,
    generation: AtomicU64,
}

/// All copies of a node.
pub struct Copies<RT: AsyncRuntime = BeatRuntime> {
    me: CopyId,
    host: Arc<GroupHost>,
    routes: Arc<Routes>,
    slots: Vec<Slot<RT>>,
    cores: Vec<Spawn>,
    /// The highest term of the directory whose orders were carried out.
    directory_term: AtomicU64,
}

impl Copies {
    /// The copies of the node and incarnation `me`, none yet; groups live on `cores`, in turn.
    pub fn new(me: CopyId, host: Arc<GroupHost>, routes: Arc<Routes>, cores: Vec<Handle>) -> Arc<Self> {
        let spawn = |core: Handle| Box::new(move |task| drop(core.spawn(task))) as Spawn;
        Self::on(me, host, routes, cores.into_iter().map(spawn).collect())
    }
}

impl<RT: AsyncRuntime> Copies<RT> {
    /// The same on another runtime; each of `cores` starts tasks on one of them.
    pub fn on(me: CopyId, host: Arc<GroupHost>, routes: Arc<Routes>, cores: Vec<Spawn>) -> Arc<Self> {
        let slots = routes.partitions().iter().map(|_| Slot {
            group: RwLock::new(None),
            turn: tokio::sync::Mutex::new(()),
            generation: AtomicU64::new(0),
        });
        let slots = slots.collect();
        Arc::new(Self { me, host, routes, slots, cores, directory_term: AtomicU64::new(0) })
    }

    fn partition(&self, id: PartitionId) -> &Arc<Partition> {
        &self.routes.partitions()[id.index()]
    }

    fn core_of(&self, id: PartitionId) -> usize {
        id.index() % self.cores.len()
    }

    /// Runs `work` on the core of a partition: that is where its group's tasks live. `None` where it did not come to an end.
    async fn on_core<T: Send + 'static>(
        &self,
        id: PartitionId,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (done, result) = oneshot::channel();
        (self.cores[self.core_of(id)])(Box::pin(async move {
            let _ = done.send(work.await);
        }));
        result.await.ok()
    }

    /// The group of a partition, where this node holds a copy that is in one.
    pub fn group(&self, id: PartitionId) -> Option<Arc<Group<RT>>> {
        self.slots.get(id.index())?.group.read().clone()
    }

    /// All groups.
    pub fn groups(&self) -> Vec<Arc<Group<RT>>> {
        self.slots.iter().filter_map(|slot| slot.group.read().clone()).collect()
    }

    /// Makes this node's copy of one partition what the directory says it is.
    pub async fn follow(&self, id: PartitionId, assignment: &Assignment) {
        let slot = &self.slots[id.index()];
        let _turn = slot.turn.lock().await;
        let known = slot.generation.swap(u64::from(assignment.generation), Ordering::AcqRel);
        if known > u64::from(assignment.generation) {
            // An older picture.
            slot.generation.store(known, Ordering::Release);
            return;
        }
        let begun_anew = known != 0 && known < u64::from(assignment.generation);
        if begun_anew {
            self.routes.forget_leader(id);
        }
        if assignment.voters.is_empty() {
            // Nobody is to begin it yet.
            return;
        }
        let alone = assignment.voters == [self.me];
        let wanted = assignment.target.contains(&self.me.node)
            || assignment.voters.contains(&self.me)
            || assignment.planned.contains(&self.me);
        let group = self.group(id);
        if !wanted {
            if group.is_some() || self.partition(id).lock().role == Role::Solo {
                tracing::debug!(partition = id.0, "copy no longer wanted here");
                self.stop(id, true).await;
            }
            return;
        }
        match group {
            // Also where it has ended, by a fault or because the node stops: begun once more, empty, under its id, it could
            // vote a second time in a term, and for one who lacks what it had acknowledged.
            Some(group) if group.generation() == assignment.generation => {}
            Some(old) => {
                // The group was begun anew. The survivor keeps its items. What counts is the group's own generation: the
                // new one may have been heard of before it was known who begins it.
                let survivor = alone.then_some(old);
                self.stop(id, survivor.is_none()).await;
                if let Some(survivor) = survivor {
                    survivor.apply_rest().await;
                }
                let start = if alone { Start::Alone } else { Start::Empty };
                self.start(id, assignment.generation, start).await;
            }
            None if self.partition(id).lock().role == Role::Solo => {}
            None if alone => {
                self.partition(id).lock().role = Role::Solo;
                self.routes.hear_leader(id, 0, Some(self.me.node));
                tracing::debug!(partition = id.0, generation = assignment.generation, "solo");
            }
            None => self.start(id, assignment.generation, Start::Empty).await,
        }
    }

    async fn start(&self, id: PartitionId, generation: u32, start: Start) {
        let begun = Group::<RT>::start(
            Arc::clone(&self.host),
            Arc::clone(self.partition(id)),
            generation,
            self.me,
            start.clone(),
        );
        // On its core: that is where its tasks live from then on.
        match self.on_core(id, begun).await {
            Some(Ok(group)) => {
                tracing::debug!(partition = id.0, generation, ?start, "copy started");
                *self.slots[id.index()].group.write() = Some(group);
            }
            Some(Err(error)) => tracing::error!(partition = id.0, generation, error, "copy cannot be started"),
            None => tracing::error!(partition = id.0, generation, "copy cannot be started: its task has failed"),
        }
    }

    async fn stop(&self, id: PartitionId, clear: bool) {
        let group = self.slots[id.index()].group.write().take();
        if let Some(group) = group {
            group.stop().await;
        }
        let partition = self.partition(id);
        let cleared = {
            let mut state = partition.lock();
            state.role = Role::Absent;
            clear.then(|| state.reset())
        };
        if let Some(cleared) = cleared {
            // A big keyspace takes long to drop: not on the reactor.
            std::thread::spawn(move || drop(cleared));
        }
    }

    /// Carries out an order of the directory's leader.
    pub async fn order(self: Arc<Self>, order: Order) -> OrderReply {
        if order.partition.index() >= self.slots.len() {
            return OrderReply::Refused("no such partition".into());
        }
        let known = self.directory_term.fetch_max(order.directory_term, Ordering::AcqRel);
        if order.directory_term < known {
            return OrderReply::Refused(format!("directory term {} is over, {known} is known", order.directory_term));
        }
        let id = order.partition;
        if matches!(order.kind, OrderKind::Reshape { .. }) {
            let slot = &self.slots[id.index()];
            let _turn = slot.turn.lock().await;
            if self.partition(id).lock().role == Role::Solo {
                self.start(id, order.generation, Start::Alone).await;
            }
        }
        let Some(group) = self.group(id) else { return OrderReply::NotLeader(self.routes.leader(id)) };
        if group.generation() != order.generation {
            return OrderReply::Refused(format!("generation {} is in force", group.generation()));
        }
        match order.kind {
            OrderKind::Report => return OrderReply::Report(group.standing()),
            OrderKind::Seal => return self.seal(id, group).await,
            _ if group.is_sealed() => return OrderReply::Again("the copy waits for the next generation".into()),
            _ => {}
        }
        let leader = group.leader();
        let asked = Arc::clone(&group);
        // On the group's core, where leases are sampled.
        let done = self.on_core(id, async move {
            match order.kind {
                OrderKind::Reshape { expected, target, anew } => {
                    let target: BTreeSet<CopyId> = target.into_iter().collect();
                    let expected = (expected.term, expected.index);
                    asked.reshape(expected, &target, anew, CATCH_UP_TIMEOUT).await
                }
                OrderKind::Transfer { to } => asked.transfer(to).await,
                OrderKind::Report | OrderKind::Seal => Ok(()),
            }
        });
        match done.await {
            Some(Ok(()) | Err(ReshapeError::Unexpected)) => match group.settled() {
                Some((id, voters)) => OrderReply::Settled {
                    membership: MembershipId { term: id.leader_id.term, index: id.index },
                    voters: voters.into_iter().collect(),
                },
                None => OrderReply::Again("a change is under way".into()),
            },
            Some(Err(ReshapeError::NotLeader)) => OrderReply::NotLeader(leader),
            Some(Err(error)) => OrderReply::Again(error.to_string()),
            None => OrderReply::Again("the order was given up".into()),
        }
    }

    /// Ends this copy's part in its generation and says how it stands.
    async fn seal(&self, id: PartitionId, group: Arc<Group<RT>>) -> OrderReply {
        let _turn = self.slots[id.index()].turn.lock().await;
        if !self.group(id).is_some_and(|held| Arc::ptr_eq(&held, &group)) {
            return OrderReply::Again("the copy is another one now".into());
        }
        tracing::info!(partition = id.0, generation = group.generation(), "copy waits for the next generation");
        let sealed = Arc::clone(&group);
        match self.on_core(id, async move { sealed.seal().await }).await {
            Some(true) => OrderReply::Report(group.standing()),
            _ => OrderReply::Again("the copy is not at its end yet".into()),
        }
    }

    /// Answers a message of another copy.
    pub async fn handle(&self, body: Bytes) -> Bytes {
        let mut reader = Reader(body);
        let Ok((id, generation, from, to, kind)) = read_address(&mut reader) else { return refusal() };
        match self.group(id) {
            Some(group) if group.generation() == generation && group.copy() == to => {
                group.handle(kind, from, reader).await
            }
            _ => refusal(),
        }
    }

    /// Starts what runs beside the groups: lease samples, log cuts, hints. `hint` sends a message to all peers.
    pub fn run(self: &Arc<Self>, hint: Hint) {
        for (core, spawn) in self.cores.iter().enumerate() {
            let copies = Arc::clone(self);
            spawn(Box::pin(async move { copies.sample_leases(core).await }));
        }
        let copies = Arc::clone(self);
        (self.cores[0])(Box::pin(async move { copies.tell_leaders(hint).await }));
        let copies = Arc::clone(self);
        (self.cores[0])(Box::pin(async move {
            for turn in 0u64.. {
                RT::sleep((copies.host.until_beat)(UPKEEP_PERIOD / 4)).await;
                let groups = copies.groups();
                for group in &groups {
                    group.tidy().await;
                }
                if turn.is_multiple_of(4) {
                    // Each is the first one at times, so that none is always left out.
                    let first = (turn / 4) as usize % groups.len().max(1);
                    let mut left = TOLD_ITEMS;
                    for group in groups[first..].iter().chain(&groups[..first]) {
                        left -= group.tell_recency(left);
                    }
                }
            }
        }));
    }

    /// Tells the peers, and the routes of this node, who leads: a command that comes to them meanwhile is refused until they
    /// know. At once where that changed, and now and then for those who missed it.
    async fn tell_leaders(self: Arc<Self>, hint: Hint) {
        let mut last = Bytes::new();
        let mut told = RT::Instant::now();
        loop {
            let beat = (self.host.until_beat)(UPKEEP_PERIOD / 4);
            let _ = RT::timeout(beat, self.host.roles_changed.notified()).await;
            let hints = self.hints();
            if hints != last || told.elapsed() > UPKEEP_PERIOD * 5 {
                if !hints.is_empty() {
                    hint(&hints);
                }
                last = hints;
                told = RT::Instant::now();
            }
        }
    }

    async fn sample_leases(self: Arc<Self>, core: usize) {
        let mut base = (RT::Instant::now(), (self.host.boot_ns)());
        loop {
            RT::sleep((self.host.until_beat)(SAMPLE_PERIOD)).await;
            let (now, boot_ns) = (RT::Instant::now(), (self.host.boot_ns)());
            let drift = (boot_ns - base.1).abs_diff((now - base.0).as_nanos() as u64);
            let jumped = drift > JUMP_NS;
            if jumped {
                base = (now, boot_ns);
            }
            for (index, slot) in self.slots.iter().enumerate() {
                if self.core_of(PartitionId(index as u16)) == core
                    && let Some(group) = slot.group.read().clone()
                {
                    group.sample_lease(boot_ns, jumped);
                }
            }
        }
    }

    /// What this node leads, encoded: `generation: u32, partition: u16, term: u32` each.
    fn hints(&self) -> Bytes {
        let mut out = BytesMut::new();
        for (index, slot) in self.slots.iter().enumerate() {
            let id = PartitionId(index as u16);
            let role = self.partition(id).lock().role;
            let group = slot.group.read().clone();
            let term = group.as_ref().map_or(0, |group| group.term() as u32);
            match role {
                Role::Solo | Role::Leader => {
                    self.routes.hear_leader(id, term, Some(self.me.node));
                    out.put_u32_le(slot.generation.load(Ordering::Acquire) as u32);
                    out.put_u16_le(id.0);
                    out.put_u32_le(term);
                }
                Role::Follower(leader) => {
                    self.routes.hear_leader(id, term, leader);
                }
                Role::Absent => {}
            }
        }
        out.freeze()
    }

    /// Takes the hints of another node.
    pub fn hear(&self, from: NodeNo, body: Bytes) {
        let mut reader = Reader(body);
        while let (Ok(generation), Ok(partition), Ok(term)) = (reader.u32(), reader.u16(), reader.u32()) {
            let Some(slot) = self.slots.get(usize::from(partition)) else { return };
            if u64::from(generation) >= slot.generation.load(Ordering::Acquire) {
                self.routes.hear_leader(PartitionId(partition), term, Some(from));
            }
        }
    }

    /// Hands over every leadership that another voter can take; true where none is left here that could be.
    pub async fn hand_over(&self) -> bool {
        let mut done = true;
        for group in self.groups().into_iter().filter(|group| group.leads()) {
            if group.voters().0.len() > 1 {
                done = false;
                group.hand_over().await;
            }
        }
        done
    }

    /// Hands leaderships over to copies that are not on these nodes, where there are any.
    pub async fn give_way(&self, avoided: &BTreeSet<NodeNo>) {
        for group in self.groups().into_iter().filter(|group| group.leads()) {
            group.give_way(avoided).await;
        }
    }
}
