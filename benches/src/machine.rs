//! The machine that figures come from.

use std::fmt;
use std::fs;

/// What a reader needs to judge figures.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Machine {
    /// Processor model.
    pub processor: String,
    /// Processors that this process may use.
    pub processors: usize,
    /// Memory of the machine.
    pub memory_gib: f64,
    /// Kernel.
    pub kernel: String,
}

impl Machine {
    /// This machine.
    pub fn here() -> Self {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let field =
            |name: &str| info.lines().find(|line| line.starts_with(name))?.split_once(": ").map(|(_, value)| value);
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kib =
            memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok());
        let kernel = rustix::system::uname();
        Self {
            processor: field("model name").unwrap_or("unknown processor").trim().into(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: kib.unwrap_or(0.0) / 1024.0 / 1024.0,
            kernel: format!("{} {}", kernel.sysname().to_string_lossy(), kernel.release().to_string_lossy()),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {}, {:.0} GiB, {}", self.processors, self.processor, self.memory_gib, self.kernel)
    }
}
