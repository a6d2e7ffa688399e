//! A peer whose tip jumps, and that speaks of work for the last of all heights: single unproven words.

use yilian_node::base::clock::Clock as _;
use yilian_node::consensus::codec::{StatusMessage, encode_status, encode_work};
use yilian_node::consensus::context::EngineHeight;
use yilian_spec::base::height::Height;
use yilian_spec::base::limits::INTEGER_MAX;

use super::super::frame::Frame;
use super::super::host::Host;
use super::super::random::Random;
use super::Liar;

pub struct JumpingHeights {
    random: Random,
}

impl JumpingHeights {
    pub fn new(random: Random) -> Self {
        Self { random }
    }

    fn height(&mut self, host: &Host) -> u64 {
        let here = host.start().height.0;
        [0, 1, here, here + 1, here + 7, 1 << 40, u64::MAX][self.random.position(7)]
    }
}

impl Liar for JumpingHeights {
    fn say(&mut self, host: &mut Host, _to: usize, frame: &Frame) -> Vec<Frame> {
        match frame {
            Frame::Status(_) => {
                let status = StatusMessage { tip: EngineHeight(self.height(host)), lowest: EngineHeight(1) };
                vec![Frame::Status(encode_status(status, host.clock.now_ms()))]
            }
            _ => vec![frame.clone()],
        }
    }

    fn unasked(&mut self, host: &mut Host) -> Vec<Frame> {
        let height = Height(self.height(host));
        vec![Frame::Work(encode_work(Height(INTEGER_MAX))), Frame::Work(encode_work(height))]
    }
}
