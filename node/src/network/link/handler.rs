//! One connection's side of a link: three outgoing and three incoming substreams.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use futures::future::BoxFuture;
use libp2p::Stream;
use libp2p::swarm::handler::{ConnectionEvent, FullyNegotiatedInbound, FullyNegotiatedOutbound};
use libp2p::swarm::{ConnectionHandler, ConnectionHandlerEvent, SubstreamProtocol};
use tokio::time::{Instant, Sleep, sleep_until};

use super::wire::{Frame, FrameError, LaneUpgrade, read_frame, write_frames};
use super::{Lane, limits};

/// Frames written with one flush at most.
const FRAMES_PER_FLUSH: usize = 64;
/// Times a substream may fail to open before the connection is given up.
const OPEN_FAILURES_MAX: u32 = 3;

/// What a connection tells the behaviour.
#[derive(Debug)]
pub enum HandlerEvent {
    /// A frame arrived.
    Received(Frame),
    /// The peer broke the framing rules or a substream cannot be kept; the connection must go.
    Broken(FrameError),
}

/// The handler of one connection.
pub struct LinkHandler {
    network: String,
    outgoing: [Outgoing; 3],
    incoming: [Incoming; 3],
    broken: Option<FrameError>,
    dropped: Arc<AtomicU64>,
    waker: Option<Waker>,
}

#[derive(Default)]
struct Outgoing {
    backlog: VecDeque<Frame>,
    backlog_bytes: usize,
    state: OutgoingState,
    open_failures: u32,
}

#[derive(Default)]
enum OutgoingState {
    #[default]
    Closed,
    Opening,
    Idle(Stream),
    Writing(BoxFuture<'static, std::io::Result<Stream>>),
}

#[derive(Default)]
struct Incoming {
    reading: Option<BoxFuture<'static, Result<(Stream, Frame), FrameError>>>,
    window: Option<Window>,
}

/// Counts frames in the current window and sleeps out its rest when the allowance is used up.
struct Window {
    ends: Instant,
    frames: u32,
    pause: Option<Pin<Box<Sleep>>>,
}

impl LinkHandler {
    pub fn new(network: String, dropped: Arc<AtomicU64>) -> Self {
        Self {
            network,
            outgoing: Default::default(),
            incoming: Default::default(),
            broken: None,
            dropped,
            waker: None,
        }
    }

    fn poll_outgoing(&mut self, lane: Lane, context: &mut Context<'_>) -> Poll<Lane> {
        let outgoing = &mut self.outgoing[lane.index()];
        loop {
            match std::mem::take(&mut outgoing.state) {
                OutgoingState::Closed if outgoing.backlog.is_empty() => return Poll::Pending,
                OutgoingState::Closed => {
                    outgoing.state = OutgoingState::Opening;
                    return Poll::Ready(lane);
                }
                OutgoingState::Opening => {
                    outgoing.state = OutgoingState::Opening;
                    return Poll::Pending;
                }
                OutgoingState::Idle(stream) if outgoing.backlog.is_empty() => {
                    outgoing.state = OutgoingState::Idle(stream);
                    return Poll::Pending;
                }
                OutgoingState::Idle(stream) => {
                    let frames = outgoing.take_frames();
                    outgoing.state = OutgoingState::Writing(Box::pin(write_and_return(stream, frames)));
                }
                OutgoingState::Writing(mut writing) => match writing.as_mut().poll(context) {
                    Poll::Pending => {
                        outgoing.state = OutgoingState::Writing(writing);
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(stream)) => outgoing.state = OutgoingState::Idle(stream),
                    Poll::Ready(Err(error)) => {
                        self.broken = Some(FrameError::Io(error));
                        return Poll::Pending;
                    }
                },
            }
        }
    }

    fn poll_incoming(&mut self, lane: Lane, context: &mut Context<'_>) -> Poll<Frame> {
        let incoming = &mut self.incoming[lane.index()];
        if incoming.poll_pause(context).is_pending() {
            return Poll::Pending;
        }
        let Some(reading) = incoming.reading.as_mut() else { return Poll::Pending };
        match reading.as_mut().poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok((stream, frame))) => {
                incoming.reading = Some(Box::pin(read_and_return(stream, lane)));
                incoming.count_frame();
                Poll::Ready(frame)
            }
            Poll::Ready(Err(error)) => {
                incoming.reading = None;
                // A peer that closes its substream in order is gone or about to open a new one.
                if !matches!(&error, FrameError::Io(cause) if cause.kind() == std::io::ErrorKind::UnexpectedEof)
                {
                    self.broken = Some(error);
                }
                Poll::Pending
            }
        }
    }
}

impl Outgoing {
    fn take_frames(&mut self) -> Vec<Frame> {
        let count = self.backlog.len().min(FRAMES_PER_FLUSH);
        let frames: Vec<Frame> = self.backlog.drain(..count).collect();
        let bytes: usize = frames.iter().map(|frame| frame.payload.len()).sum();
        self.backlog_bytes -= bytes;
        frames
    }
}

impl Incoming {
    fn poll_pause(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(window) = self.window.as_mut() else { return Poll::Ready(()) };
        let Some(pause) = window.pause.as_mut() else { return Poll::Ready(()) };
        std::task::ready!(pause.as_mut().poll(context));
        self.window = None;
        Poll::Ready(())
    }

    fn count_frame(&mut self) {
        let now = Instant::now();
        if self.window.as_ref().is_none_or(|window| window.ends <= now) {
            self.window = Some(Window { ends: now + limits::INTAKE_WINDOW, frames: 0, pause: None });
        }
        if let Some(window) = self.window.as_mut() {
            window.frames += 1;
            if window.frames >= limits::INTAKE_FRAMES_PER_WINDOW {
                window.pause = Some(Box::pin(sleep_until(window.ends)));
            }
        }
    }
}

async fn write_and_return(mut stream: Stream, frames: Vec<Frame>) -> std::io::Result<Stream> {
    write_frames(&mut stream, &frames).await?;
    Ok(stream)
}

async fn read_and_return(mut stream: Stream, lane: Lane) -> Result<(Stream, Frame), FrameError> {
    let frame = read_frame(&mut stream, lane).await?;
    Ok((stream, frame))
}

impl ConnectionHandler for LinkHandler {
    type FromBehaviour = Frame;
    type ToBehaviour = HandlerEvent;
    type InboundProtocol = LaneUpgrade;
    type OutboundProtocol = LaneUpgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Lane;

    fn listen_protocol(&self) -> SubstreamProtocol<LaneUpgrade> {
        let upgrade = LaneUpgrade { network: self.network.clone(), lanes: Lane::ALL.to_vec() };
        SubstreamProtocol::new(upgrade, ())
    }

    /// A link stays as long as both sides live: members are few and always have something to say.
    fn connection_keep_alive(&self) -> bool {
        true
    }

    fn on_behaviour_event(&mut self, frame: Frame) {
        let lane = frame.topic.lane();
        let outgoing = &mut self.outgoing[lane.index()];
        if outgoing.backlog_bytes + frame.payload.len() > lane.backlog_bytes_max() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        outgoing.backlog_bytes += frame.payload.len();
        outgoing.backlog.push_back(frame);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<LaneUpgrade, Lane, HandlerEvent>> {
        for lane in Lane::ALL {
            if let Poll::Ready(lane) = self.poll_outgoing(lane, context) {
                let upgrade = LaneUpgrade { network: self.network.clone(), lanes: vec![lane] };
                return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest {
                    protocol: SubstreamProtocol::new(upgrade, lane),
                });
            }
            if let Poll::Ready(frame) = self.poll_incoming(lane, context) {
                return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(HandlerEvent::Received(frame)));
            }
        }
        if let Some(error) = self.broken.take() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(HandlerEvent::Broken(error)));
        }
        self.waker = Some(context.waker().clone());
        Poll::Pending
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, LaneUpgrade, LaneUpgrade, (), Lane>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, .. }) => {
                let (lane, stream) = protocol;
                // One incoming substream a lane: a second one replaces the first.
                self.incoming[lane.index()].reading = Some(Box::pin(read_and_return(stream, lane)));
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol, .. }) => {
                let (lane, stream) = protocol;
                let outgoing = &mut self.outgoing[lane.index()];
                outgoing.state = OutgoingState::Idle(stream);
                outgoing.open_failures = 0;
            }
            ConnectionEvent::DialUpgradeError(failure) => {
                let outgoing = &mut self.outgoing[failure.info.index()];
                outgoing.state = OutgoingState::Closed;
                outgoing.open_failures += 1;
                if outgoing.open_failures >= OPEN_FAILURES_MAX {
                    let cause = std::io::Error::other(failure.error.to_string());
                    self.broken = Some(FrameError::Io(cause));
                }
            }
            _ => {}
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}
