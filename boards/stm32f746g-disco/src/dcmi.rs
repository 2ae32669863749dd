//! The camera port (DCMI) and its DMA as a [`FrameSource`], for a sensor that sends pixels in parallel.

use core::pin::pin;
use core::task::Poll;
use embassy_futures::poll_once;
use embassy_stm32::dcmi::{self, Config, Dcmi};
use embassy_stm32::peripherals::{DCMI, DMA2_CH1, PA4, PA6, PD3, PE5, PE6, PG9, PH9, PH10, PH11, PH12, PH14};
use embassy_stm32::{Peri, bind_interrupts, dma};
use embassy_time::{Duration, Instant};
use firmware::camera::{FrameSource, Output, SIZE, frame_of, frame_words};
use firmware::vision::{self, Format, Frame};

/// Longest wait for a frame: the OV7670 begins one 15 times a second.
const TIMEOUT: Duration = Duration::from_millis(500);

bind_interrupts!(struct Interrupts {
    DCMI => dcmi::InterruptHandler<DCMI>;
    DMA2_STREAM1 => dma::InterruptHandler<DMA2_CH1>;
});

/// The port with its pins.
pub struct Port {
    pub dcmi: Peri<'static, DCMI>,
    pub dma: Peri<'static, DMA2_CH1>,
    pub d0: Peri<'static, PH9>,
    pub d1: Peri<'static, PH10>,
    pub d2: Peri<'static, PH11>,
    pub d3: Peri<'static, PH12>,
    pub d4: Peri<'static, PH14>,
    pub d5: Peri<'static, PD3>,
    pub d6: Peri<'static, PE5>,
    pub d7: Peri<'static, PE6>,
    pub vsync: Peri<'static, PG9>,
    pub href: Peri<'static, PA4>,
    pub pclk: Peri<'static, PA6>,
    pub output: Output,
}

/// Why there is no frame.
#[derive(defmt::Format)]
pub enum Error {
    /// The sensor sent none, or too few bytes.
    TimedOut,
    /// More came than fits, or faster than it was stored.
    Overrun,
    /// The buffer cannot hold a frame.
    Frame(vision::Error),
}

impl Port {
    /// The port, reset: whatever a frame that came to nothing left in it is gone.
    fn reset(&mut self) -> Dcmi<'_, DCMI> {
        Dcmi::new_8bit(
            self.dcmi.reborrow(),
            self.dma.reborrow(),
            Interrupts,
            self.d0.reborrow(),
            self.d1.reborrow(),
            self.d2.reborrow(),
            self.d3.reborrow(),
            self.d4.reborrow(),
            self.d5.reborrow(),
            self.d6.reborrow(),
            self.d7.reborrow(),
            self.vsync.reborrow(),
            self.href.reborrow(),
            self.pclk.reborrow(),
            // VSYNC high between frames, HREF low between rows, bytes at the rising edge: as the OV7670 sends them.
            Config::default(),
        )
    }
}

impl FrameSource for Port {
    type Error = Error;

    fn size(&self) -> [usize; 2] {
        SIZE
    }

    fn format(&self) -> Format {
        self.output.format()
    }

    /// The DMA stops when its future goes, so that after an error nothing writes to `buffer` any more.
    fn capture<'b>(&mut self, buffer: &'b mut [u32]) -> Result<Frame<'b>, Error> {
        let (size, format) = (self.size(), self.format());
        // Refuses a buffer that is too short.
        frame_of(buffer, size, format).map_err(Error::Frame)?;
        let words = &mut buffer[..frame_words(size, format)];
        let mut port = self.reset();
        {
            let (start, mut frame) = (Instant::now(), pin!(port.capture(words)));
            loop {
                match poll_once(frame.as_mut()) {
                    Poll::Ready(Ok(())) => break,
                    Poll::Ready(Err(_)) => return Err(Error::Overrun),
                    Poll::Pending if start.elapsed() > TIMEOUT => return Err(Error::TimedOut),
                    Poll::Pending => (),
                }
            }
        }
        frame_of(buffer, size, format).map_err(Error::Frame)
    }
}
