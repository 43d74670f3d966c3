//! What the system says of the process and of the machine.

/// Resident memory of the process in bytes.
pub(super) fn resident_bytes() -> Option<u64> {
    kilobytes("/proc/self/status", "VmRSS:")
}

/// The part of it that is the process's own: not its program, nor other files.
pub(super) fn own_resident_bytes() -> Option<usize> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let mut pages = pages.split_whitespace().skip(1).map(|count| count.parse::<usize>());
    let (resident, of_files) = (pages.next()?.ok()?, pages.next()?.ok()?);
    Some(resident.saturating_sub(of_files) * rustix::param::page_size())
}

/// Memory of the machine in bytes, or what a control group lets this process have of it.
pub(super) fn machine_bytes() -> Option<u64> {
    let machine = kilobytes("/proc/meminfo", "MemTotal:")?;
    let limit = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    Some(limit.map_or(machine, |limit: u64| limit.min(machine)))
}

fn kilobytes(path: &str, field: &str) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(field))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

/// Random hex digits, two a byte.
pub(super) fn random_hex(bytes: usize) -> std::io::Result<String> {
    let mut random = vec![0u8; bytes];
    rustix::rand::getrandom(&mut random[..], rustix::rand::GetRandomFlags::empty())?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_there_on_linux() {
        assert!(resident_bytes().unwrap() > 100_000);
        assert!(machine_bytes().unwrap() >= resident_bytes().unwrap());
        assert!((10_000..resident_bytes().unwrap()).contains(&(own_resident_bytes().unwrap() as u64)));
        assert_eq!(random_hex(20).unwrap().len(), 40);
        assert_ne!(random_hex(20).unwrap(), random_hex(20).unwrap());
    }
}
