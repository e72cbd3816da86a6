//! What a running process costs, as the kernel counts it.

/// The processor time that a process has used, in seconds.
///
/// # Panics
/// When it is gone.
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    /// Linux counts in hundredths of a second, whatever its own clock.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the Master lives");
    let after_name = stat.rsplit(") ").next().unwrap_or_default();
    let ticks = after_name.split(' ').skip(11).take(2);
    ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS
}

/// The memory of a process that is in use, in MiB.
///
/// # Panics
/// When it is gone.
pub(crate) fn resident_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the Master lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().split(' ').next()?.parse::<f64>().ok());
    kilobytes.unwrap_or_default() / 1024.0
}
