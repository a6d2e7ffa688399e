//! What is said on one substream: multistream-select by hand, frames, pings, and questions about decided blocks.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::core::muxing::SubstreamBox;
use yilian_node::network::Topic;

const HEADER: &str = "/multistream/1.0.0";
const PING: &str = "/ipfs/ping/1.0.0";
/// Longest line that is read: all names here are shorter, so one byte of length suffices.
const LINE_BYTES_MAX: usize = 127;
/// Longest frame and answer that is read.
const MESSAGE_BYTES_MAX: usize = 32 << 20;

/// What an attacker makes of what a node says to it.
pub trait Host: Send + Sync + 'static {
    /// Whether it reads at all.
    fn reads(&self) -> bool {
        true
    }

    /// A frame came.
    fn frame(&self, topic: Topic, payload: Bytes) {
        let _ = (topic, payload);
    }

    /// The node asks for decided blocks: the answer, or silence.
    fn blocks(&self, request: Bytes) -> futures::future::BoxFuture<'static, Option<Bytes>> {
        let _ = request;
        Box::pin(std::future::ready(None))
    }
}

/// Hears nothing.
pub struct Deaf;

impl Host for Deaf {}

/// Leaves everything that it is sent where it is, so that the node cannot get rid of it.
pub struct Reluctant;

impl Host for Reluctant {
    fn reads(&self) -> bool {
        false
    }
}

async fn read_line(stream: &mut SubstreamBox) -> io::Result<String> {
    let mut length = [0];
    stream.read_exact(&mut length).await?;
    let mut line = vec![0; usize::from(length[0]).min(LINE_BYTES_MAX)];
    stream.read_exact(&mut line).await?;
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

async fn write_line(stream: &mut SubstreamBox, line: &str) -> io::Result<()> {
    let length = u8::try_from(line.len() + 1).map_err(io::Error::other)?;
    let bytes = [&[length], line.as_bytes(), b"\n"].concat();
    stream.write_all(&bytes).await?;
    stream.flush().await
}

/// Asks for a protocol and waits until the node agrees.
///
/// # Errors
/// When it does not, or the substream ends.
pub async fn ask(stream: &mut SubstreamBox, protocol: &str) -> io::Result<()> {
    write_line(stream, HEADER).await?;
    write_line(stream, protocol).await?;
    let (header, answer) = (read_line(stream).await?, read_line(stream).await?);
    if header == HEADER && answer == protocol {
        Ok(())
    } else {
        Err(io::Error::other(format!("asked for {protocol}, the node answers {answer}")))
    }
}

/// Answers a substream that the node has opened, until it ends.
pub async fn answer(mut stream: SubstreamBox, network: String, host: Arc<dyn Host>) {
    // Whatever goes wrong ends this substream and nothing else.
    let _ = try_answer(&mut stream, &network, &host).await;
}

async fn try_answer(stream: &mut SubstreamBox, network: &str, host: &Arc<dyn Host>) -> io::Result<()> {
    let protocol = loop {
        let line = read_line(stream).await?;
        match line.as_str() {
            HEADER => write_line(stream, HEADER).await?,
            PING => break line,
            other if other.starts_with(&format!("/yilian/{network}/")) => break line,
            _ => write_line(stream, "na").await?,
        }
    };
    write_line(stream, &protocol).await?;
    if protocol == PING {
        return pong(stream).await;
    }
    if !host.reads() {
        // Held open and never read.
        std::future::pending::<()>().await;
    }
    if protocol.ends_with("/sync/1") {
        return serve(stream, host).await;
    }
    loop {
        let (topic, payload) = read_frame(stream).await?;
        if let Some(topic) = Topic::ALL.into_iter().find(|known| *known as u8 == topic) {
            host.frame(topic, payload);
        }
    }
}

async fn pong(stream: &mut SubstreamBox) -> io::Result<()> {
    let mut bytes = [0; 32];
    loop {
        stream.read_exact(&mut bytes).await?;
        stream.write_all(&bytes).await?;
        stream.flush().await?;
    }
}

async fn read_frame(stream: &mut SubstreamBox) -> io::Result<(u8, Bytes)> {
    let mut head = [0; 5];
    stream.read_exact(&mut head).await?;
    let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
    let mut payload = vec![0; length.saturating_sub(1).min(MESSAGE_BYTES_MAX)];
    stream.read_exact(&mut payload).await?;
    Ok((head[4], payload.into()))
}

/// Reads a message of the kind that questions about decided blocks and their answers are: its length, big endian, in front.
async fn read_message(stream: &mut SubstreamBox) -> io::Result<Bytes> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let mut message = vec![0; (u32::from_be_bytes(head) as usize).min(MESSAGE_BYTES_MAX)];
    stream.read_exact(&mut message).await?;
    Ok(message.into())
}

async fn write_message(stream: &mut SubstreamBox, message: &[u8]) -> io::Result<()> {
    let length = u32::try_from(message.len()).map_err(io::Error::other)?;
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(message).await?;
    stream.flush().await
}

async fn serve(stream: &mut SubstreamBox, host: &Arc<dyn Host>) -> io::Result<()> {
    let request = read_message(stream).await?;
    match host.blocks(request).await {
        Some(answer) => write_message(stream, &answer).await?,
        // The node waits for an answer until it is tired of it.
        None => std::future::pending().await,
    }
    stream.close().await
}

/// Asks on a substream that was agreed on for it, and returns the answer.
///
/// # Errors
/// When the substream ends first.
pub async fn question(stream: &mut SubstreamBox, request: &[u8]) -> io::Result<Bytes> {
    write_message(stream, request).await?;
    read_message(stream).await
}

/// Asks and does not wait for the answer.
///
/// # Errors
/// When the substream ends first.
pub async fn question_only(stream: &mut SubstreamBox, request: &[u8]) -> io::Result<()> {
    write_message(stream, request).await
}

/// A lane's substream, for whole frames and for bytes that are none.
pub struct Lane(pub SubstreamBox);

impl Lane {
    /// Sends frames with one flush.
    ///
    /// # Errors
    /// When the substream has ended.
    pub async fn send(&mut self, frames: &[(Topic, Bytes)]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for (topic, payload) in frames {
            let length = u32::try_from(payload.len() + 1).map_err(io::Error::other)?;
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.push(*topic as u8);
            bytes.extend_from_slice(payload);
        }
        self.bytes(&bytes).await
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the substream has ended.
    pub async fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes).await?;
        self.0.flush().await
    }
}
