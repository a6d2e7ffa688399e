//! Frames on a substream, and the three protocol names that select a lane.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;

use bytes::Bytes;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::StreamProtocol;
use libp2p::core::upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo};

use super::{Lane, Topic};

/// One message of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is about.
    pub topic: Topic,
    /// The message itself.
    pub payload: Bytes,
}

/// Why a frame was refused. The connection that sent it is closed.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The length field is zero or over the lane's bound.
    #[error("a frame of {length} bytes on the {lane} lane; the bound is {bound}")]
    Length {
        /// Bytes announced.
        length: usize,
        /// Bytes allowed.
        bound: usize,
        /// The lane's name.
        lane: &'static str,
    },
    /// The topic is unknown or belongs to another lane.
    #[error("topic {topic} does not belong on the {lane} lane")]
    Topic {
        /// The topic's byte.
        topic: u8,
        /// The lane's name.
        lane: &'static str,
    },
    /// The substream failed or ended.
    #[error("the substream ended: {0}")]
    Io(#[from] io::Error),
}

/// Reads one frame; allocates nothing before the length has been checked.
///
/// # Errors
/// [`FrameError`].
pub async fn read_frame(stream: &mut (impl AsyncRead + Unpin), lane: Lane) -> Result<Frame, FrameError> {
    let mut head = [0_u8; 4];
    stream.read_exact(&mut head).await?;
    let length = u32::from_le_bytes(head) as usize;
    let bound = lane.payload_bytes_max() + 1;
    if length == 0 || length > bound {
        return Err(FrameError::Length { length, bound, lane: lane.name() });
    }
    let mut topic_byte = [0_u8; 1];
    stream.read_exact(&mut topic_byte).await?;
    let topic = Topic::from_byte(topic_byte[0])
        .filter(|topic| topic.lane() == lane)
        .ok_or(FrameError::Topic { topic: topic_byte[0], lane: lane.name() })?;
    let mut payload = vec![0_u8; length - 1];
    stream.read_exact(&mut payload).await?;
    Ok(Frame { topic, payload: payload.into() })
}

/// Writes frames and flushes once.
///
/// # Errors
/// When the substream fails.
pub async fn write_frames(stream: &mut (impl AsyncWrite + Unpin), frames: &[Frame]) -> io::Result<()> {
    for frame in frames {
        let length = u32::try_from(frame.payload.len() + 1)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "frame over 4 GiB"))?;
        let mut head = [0_u8; 5];
        head[..4].copy_from_slice(&length.to_le_bytes());
        head[4] = frame.topic as u8;
        stream.write_all(&head).await?;
        stream.write_all(&frame.payload).await?;
    }
    stream.flush().await
}

/// The protocol name of a lane; `network` separates ledgers from each other.
pub fn protocol_name(network: &str, lane: Lane) -> StreamProtocol {
    // The caller passes a plain word, so the name starts with a slash as the type demands.
    StreamProtocol::try_from_owned(format!("/yilian/{network}/{}/1", lane.name()))
        .expect("a name that starts with a slash is a protocol name")
}

/// Offers or requests lanes by their protocol names; yields the lane that was agreed on.
#[derive(Clone, Debug)]
pub struct LaneUpgrade {
    pub network: String,
    pub lanes: Vec<Lane>,
}

impl LaneUpgrade {
    fn lane_of(&self, name: &StreamProtocol) -> Lane {
        *self
            .lanes
            .iter()
            .find(|lane| protocol_name(&self.network, **lane) == *name)
            .expect("negotiation yields one of the names we offered")
    }
}

impl UpgradeInfo for LaneUpgrade {
    type Info = StreamProtocol;
    type InfoIter = std::vec::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        let names: Vec<_> = self.lanes.iter().map(|lane| protocol_name(&self.network, *lane)).collect();
        names.into_iter()
    }
}

impl<S: Send + 'static> InboundUpgrade<S> for LaneUpgrade {
    type Output = (Lane, S);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: S, name: StreamProtocol) -> Self::Future {
        ready(Ok((self.lane_of(&name), stream)))
    }
}

impl<S: Send + 'static> OutboundUpgrade<S> for LaneUpgrade {
    type Output = (Lane, S);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_outbound(self, stream: S, name: StreamProtocol) -> Self::Future {
        ready(Ok((self.lane_of(&name), stream)))
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use futures::io::Cursor;

    use super::*;

    fn written(frames: &[Frame]) -> Vec<u8> {
        let mut buffer = Cursor::new(Vec::new());
        block_on(write_frames(&mut buffer, frames)).unwrap();
        buffer.into_inner()
    }

    fn read(bytes: &[u8], lane: Lane) -> Result<Frame, FrameError> {
        block_on(read_frame(&mut Cursor::new(bytes), lane))
    }

    #[test]
    fn a_frame_reads_back_and_its_bytes_are_frozen() {
        let frame = Frame { topic: Topic::Work, payload: Bytes::from_static(&[9, 8]) };
        let bytes = written(std::slice::from_ref(&frame));
        assert_eq!(bytes, [3, 0, 0, 0, 4, 9, 8]);
        assert_eq!(read(&bytes, Lane::Consensus).unwrap(), frame);
    }

    #[test]
    fn lengths_are_refused_before_anything_is_allocated() {
        let zero = read(&[0, 0, 0, 0], Lane::Consensus);
        assert!(matches!(zero, Err(FrameError::Length { length: 0, .. })));
        let huge = read(&u32::MAX.to_le_bytes(), Lane::Transactions);
        assert!(matches!(huge, Err(FrameError::Length { .. })));
        let bound = u32::try_from(Lane::Parts.payload_bytes_max() + 2).unwrap();
        assert!(matches!(read(&bound.to_le_bytes(), Lane::Parts), Err(FrameError::Length { .. })));
    }

    #[test]
    fn a_topic_on_the_wrong_lane_is_refused() {
        let bytes = written(&[Frame { topic: Topic::Consensus, payload: Bytes::from_static(&[1]) }]);
        assert!(matches!(read(&bytes, Lane::Transactions), Err(FrameError::Topic { topic: 1, .. })));
        assert!(matches!(
            read(&[2, 0, 0, 0, 77, 0], Lane::Consensus),
            Err(FrameError::Topic { topic: 77, .. })
        ));
        assert!(matches!(read(&bytes[..5], Lane::Consensus), Err(FrameError::Io(_))));
    }
}
