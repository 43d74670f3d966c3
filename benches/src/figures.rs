//! Figures of runs, and what several runs say together.

use crate::cpu::cpu_time;
use crate::generator::{self, Plan};
use std::io;

/// Figures of one run.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Run {
    /// Operations a second.
    pub operations_per_second: f64,
    /// Median latency.
    pub p50_us: f64,
    /// 99th percentile.
    pub p99_us: f64,
    /// 99.9th percentile.
    pub p999_us: f64,
    /// CPU time, user and system, of the server's processes for each operation; absent for a server elsewhere.
    pub server_cpu_us: Option<f64>,
    /// CPU time of the load generator for each operation.
    pub client_cpu_us: f64,
}

/// Carries out `plan` against a server whose processes are `pids`.
///
/// # Errors
/// Where the plan cannot be carried out.
pub fn measure(plan: &Plan, pids: &[u32]) -> io::Result<Run> {
    let server_cpu = || pids.iter().map(|pid| cpu_time(*pid)).sum::<io::Result<std::time::Duration>>();
    let (server_before, client_before) = (server_cpu()?, cpu_time(std::process::id())?);
    let outcome = generator::run(plan)?;
    let (server_after, client_after) = (server_cpu()?, cpu_time(std::process::id())?);
    let each_us = |used: std::time::Duration| used.as_secs_f64() * 1e6 / plan.operations as f64;
    let percentile = |quantile: f64| outcome.latency_ns.value_at_quantile(quantile) as f64 / 1000.0;
    Ok(Run {
        operations_per_second: plan.operations as f64 / outcome.elapsed.as_secs_f64(),
        p50_us: percentile(0.5),
        p99_us: percentile(0.99),
        p999_us: percentile(0.999),
        server_cpu_us: (!pids.is_empty()).then(|| each_us(server_after - server_before)),
        client_cpu_us: each_us(client_after - client_before),
    })
}

/// Several runs of one plan.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Figures {
    /// Medians, each figure by itself.
    pub median: Run,
    /// (largest - smallest) / median of operations a second.
    pub throughput_spread: f64,
    /// The same of server CPU.
    pub cpu_spread: Option<f64>,
    /// All of them.
    pub runs: Vec<Run>,
}

impl Figures {
    /// Sums up at least one run.
    ///
    /// # Panics
    /// Of none.
    pub fn of(runs: Vec<Run>) -> Self {
        assert!(!runs.is_empty(), "no runs");
        let of = |figure: fn(&Run) -> f64| median(runs.iter().map(figure).collect());
        let cpu: Option<Vec<f64>> = runs.iter().map(|run| run.server_cpu_us).collect();
        let median = Run {
            operations_per_second: of(|run| run.operations_per_second),
            p50_us: of(|run| run.p50_us),
            p99_us: of(|run| run.p99_us),
            p999_us: of(|run| run.p999_us),
            server_cpu_us: cpu.clone().map(median),
            client_cpu_us: of(|run| run.client_cpu_us),
        };
        let throughput_spread = spread(runs.iter().map(|run| run.operations_per_second).collect());
        Self { median, throughput_spread, cpu_spread: cpu.map(spread), runs }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

fn spread(values: Vec<f64>) -> f64 {
    let largest = values.iter().copied().fold(f64::MIN, f64::max);
    let smallest = values.iter().copied().fold(f64::MAX, f64::min);
    let median = median(values);
    if median > 0.0 { (largest - smallest) / median } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_spreads() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(spread(vec![9.0, 10.0, 12.0]), 0.3);
    }
}
