//! The emulator as a probe of the probe-rs library: raw access to the ports of a [`Dap`].

use super::dap::Dap;
use super::machine::QemuMachine;
use probe_rs::CoreStatus;
use probe_rs::architecture::arm::sequences::ArmDebugSequence;
use probe_rs::architecture::arm::{
    ArmCommunicationInterface, ArmDebugInterface, ArmError, DapProbe, RawDapAccess, RegisterAddress,
};
use probe_rs::probe::{DebugProbe, DebugProbeError, WireProtocol};
use std::io;
use std::sync::Arc;

/// A probe on the serial-wire port of an emulated machine, which it owns.
pub struct EmulatorProbe {
    dap: Dap<QemuMachine>,
}

impl EmulatorProbe {
    /// A probe on `dap`.
    pub fn new(dap: Dap<QemuMachine>) -> Self {
        Self { dap }
    }
}

impl std::fmt::Debug for EmulatorProbe {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("EmulatorProbe")
    }
}

fn arm(error: io::Error) -> ArmError {
    ArmError::Probe(probe(error))
}

fn probe(error: io::Error) -> DebugProbeError {
    DebugProbeError::Usb(error)
}

/// Bit of the reset line in `SWJ_Pins`.
const NRESET: u32 = 1 << 7;

impl DebugProbe for EmulatorProbe {
    fn get_name(&self) -> &str {
        "emulator"
    }
    fn speed_khz(&self) -> u32 {
        10_000
    }
    fn set_speed(&mut self, speed_khz: u32) -> Result<u32, DebugProbeError> {
        Ok(speed_khz)
    }
    fn attach(&mut self) -> Result<(), DebugProbeError> {
        Ok(())
    }
    fn detach(&mut self) -> Result<(), probe_rs::Error> {
        Ok(())
    }
    fn target_reset(&mut self) -> Result<(), DebugProbeError> {
        self.dap.core().reset().map_err(probe)
    }
    fn target_reset_assert(&mut self) -> Result<(), DebugProbeError> {
        self.dap.core().assert_reset().map_err(probe)
    }
    fn target_reset_deassert(&mut self) -> Result<(), DebugProbeError> {
        self.dap.core().release_reset().map_err(probe)
    }
    fn select_protocol(&mut self, protocol: WireProtocol) -> Result<(), DebugProbeError> {
        match protocol {
            WireProtocol::Swd => Ok(()),
            other => Err(DebugProbeError::UnsupportedProtocol(other)),
        }
    }
    fn active_protocol(&self) -> Option<WireProtocol> {
        Some(WireProtocol::Swd)
    }
    fn has_arm_interface(&self) -> bool {
        true
    }
    fn try_get_arm_debug_interface<'probe>(
        self: Box<Self>,
        sequence: Arc<dyn ArmDebugSequence>,
    ) -> Result<Box<dyn ArmDebugInterface + 'probe>, (Box<dyn DebugProbe>, ArmError)> {
        Ok(ArmCommunicationInterface::create(self, sequence, false))
    }
    fn into_probe(self: Box<Self>) -> Box<dyn DebugProbe> {
        self
    }
    fn try_as_dap_probe(&mut self) -> Option<&mut dyn DapProbe> {
        Some(self)
    }
}

impl DapProbe for EmulatorProbe {}

impl RawDapAccess for EmulatorProbe {
    fn raw_read_register(&mut self, address: RegisterAddress) -> Result<u32, ArmError> {
        if address.is_ap() { self.dap.read_ap(address.lsb()).map_err(arm) } else { Ok(self.dap.read_dp(address.lsb())) }
    }
    fn raw_write_register(&mut self, address: RegisterAddress, value: u32) -> Result<(), ArmError> {
        if address.is_ap() {
            return self.dap.write_ap(address.lsb(), value).map_err(arm);
        }
        self.dap.write_dp(address.lsb(), value);
        Ok(())
    }
    fn raw_read_block(&mut self, address: RegisterAddress, values: &mut [u32]) -> Result<(), ArmError> {
        if address.is_ap() && self.dap.is_data(address.lsb()) {
            return self.dap.read_data(values).map_err(arm);
        }
        for value in values {
            *value = self.raw_read_register(address)?;
        }
        Ok(())
    }
    fn raw_write_block(&mut self, address: RegisterAddress, values: &[u32]) -> Result<(), ArmError> {
        if address.is_ap() && self.dap.is_data(address.lsb()) {
            return self.dap.write_data(values).map_err(arm);
        }
        values.iter().try_for_each(|&value| self.raw_write_register(address, value))
    }
    fn jtag_sequence(&mut self, _: u8, _: bool, _: u64) -> Result<(), DebugProbeError> {
        Err(DebugProbeError::CommandNotSupportedByProbe { command_name: "jtag_sequence" })
    }
    fn swj_sequence(&mut self, _: u8, _: u64) -> Result<(), DebugProbeError> {
        Ok(())
    }
    fn swj_pins(&mut self, out: u32, select: u32, _: u32) -> Result<u32, DebugProbeError> {
        if select & NRESET != 0 {
            if out & NRESET == 0 { self.target_reset_assert()? } else { self.target_reset_deassert()? }
        }
        Ok(u32::MAX)
    }
    fn into_probe(self: Box<Self>) -> Box<dyn DebugProbe> {
        self
    }
    fn core_status_notification(&mut self, _: CoreStatus) -> Result<(), DebugProbeError> {
        Ok(())
    }
}
