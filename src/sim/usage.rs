// SPDX-License-Identifier: MPL-2.0

//! What a run costs, as Linux tells it; None elsewhere.

use std::time::Duration;

/// Processor time of the process so far, of all its threads.
pub fn cpu_time() -> Option<Duration> {
    // Fields 14 and 15 are in clock ticks, of which Linux has 100 a second on every architecture in use
    // (proc(5)). The second field may contain spaces, but ends with the last parenthesis.
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 10))
}

/// Most that the process ever had in memory, in bytes.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}
