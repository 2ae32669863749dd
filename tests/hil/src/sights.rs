//! Frames in a camera's place, read by a random net.

use crate::cases::SEED;
use crate::subject;
use anyhow::{Result, ensure};
use firmware::model::format::PACKING_PORTABLE;
use host::dataset::camera::{Conditions, HEIGHT, Subject, WIDTH, shoot};
use host::dataset::strokes;
use host::device::Session;
use host::frames::Picture;
use host::twin::Twin;

/// Every step from the pixels to the answer: thresholds, ink, regions, and what the net makes of each.
pub fn frames_equal_the_twin(session: &mut Session) -> Result<()> {
    let mut twin = Twin::new(&subject::container(PACKING_PORTABLE, SEED))?;
    let drawn = strokes::dataset(1, 4, 1).test;
    let images = drawn.images()?;
    let digits = images.pixels.chunks(images.size()).map(Subject::Digit);
    let subjects = digits.chain([Subject::Blank, Subject::Lines, Subject::Letter]);
    let mut found = 0;
    for (seed, subject) in subjects.enumerate() {
        let grey = shoot(subject, Conditions::Field, seed as u64).grey;
        let picture = Picture { width: WIDTH, height: HEIGHT, grey };
        let (look, _) = session.look(&picture, 2)?;
        ensure!(look == twin.look(&picture, 2)?, "frame {seed} is not seen as the twin sees it");
        found += look.seen.len();
        let glances: Vec<_> = session.watch(&picture, 4)?.into_iter().map(|(glance, _)| glance).collect();
        ensure!(glances == twin.watch(&picture, 4)?, "a camera's reader does not see frame {seed} as the twin's does");
    }
    ensure!(found > 0, "nothing is seen in any frame");
    let odd = Picture { width: 33, height: 17, grey: vec![90; 33 * 17] };
    ensure!(session.look(&odd, 1)?.0 == twin.look(&odd, 1)?, "a small frame is not seen as the twin sees it");
    let large = Picture { width: 641, height: 1, grey: vec![0; 641] };
    ensure!(session.look(&large, 1).is_err(), "a frame that is too wide is looked at");
    Ok(())
}
