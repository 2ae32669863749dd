//! The clock of real boards: processor cycles.

use crate::Clock;
use cortex_m::Peripherals;
use cortex_m::peripheral::DWT;

/// The counter in the core's watchpoint unit (DWT), which counts at the core's frequency. QEMU has none.
pub struct CycleCounter(());

impl CycleCounter {
    /// Starts the counter, at the frequency that the core has from now on.
    pub fn start(core: &mut Peripherals) -> Self {
        core.DCB.enable_trace();
        // The M7's is locked until a debugger or this has opened it; elsewhere the write has no effect.
        DWT::unlock();
        core.DWT.enable_cycle_counter();
        Self(())
    }
}

impl Clock for CycleCounter {
    fn ticks(&mut self) -> u32 {
        DWT::cycle_count()
    }
}
