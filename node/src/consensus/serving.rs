//! Serves decided blocks to peers that catch up, beside consensus: on threads of its own, from what the ledger holds for good.
//!
//! The engine would pass each request through the queue of its application, behind and before the messages that decide blocks,
//! and wait for the answer there. So requests never reach it: the pump hands them in here, a few are read at once, some wait, and
//! who asks beyond that is told at once and asks another peer.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use arc_malachitebft_app_channel::app::types::codec::Codec as _;
use arc_malachitebft_sync::{RawDecidedValue, Request, Response, ValueResponse};
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use yilian_spec::base::id::InstitutionId;

use super::certificate::extended_certificate;
use super::codec::LedgerCodec;
use super::context::{EngineHeight, LedgerContext};
use crate::application::{ApplicationError, DecidedBlocks};
use crate::base::limits;
use crate::network::limits::SYNC_RESPONSE_BYTES_MAX;

/// What remains of a response for lengths and certificates.
const OVERHEAD_BYTES: usize = 1024 * 1024;

/// Where the pump hands requests in.
pub struct Questions {
    waiting: mpsc::Sender<Question>,
    places: BTreeMap<Option<InstitutionId>, Arc<Semaphore>>,
}

/// A request that waits.
struct Question {
    range: RangeInclusive<EngineHeight>,
    reply: oneshot::Sender<Bytes>,
    /// Its institution's place, free again when it is answered.
    _place: OwnedSemaphorePermit,
}

/// Answers requests; runs until nobody can ask any more.
pub struct Server<B> {
    blocks: B,
    waiting: mpsc::Receiver<Question>,
    failed: mpsc::Sender<ApplicationError>,
}

/// A server of `blocks`, and where to ask it. What keeps it from reading goes to `failed` and should stop the node.
pub fn server<B: DecidedBlocks>(blocks: B, failed: mpsc::Sender<ApplicationError>) -> (Questions, Server<B>) {
    let (sender, waiting) = mpsc::channel(limits::SYNC_WAITING_MAX);
    (Questions { waiting: sender, places: BTreeMap::new() }, Server { blocks, waiting, failed })
}

impl Questions {
    /// Hands in a request of an institution's node. The encoded response comes, or the channel ends without one; `None` when
    /// too many wait already, of this institution or in all.
    pub fn ask(
        &mut self,
        institution: Option<InstitutionId>,
        request: &Request<LedgerContext>,
    ) -> Option<oneshot::Receiver<Bytes>> {
        let Request::ValueRequest(request) = request;
        let places = self.places.entry(institution);
        let places = places.or_insert_with(|| Arc::new(Semaphore::new(limits::SYNC_WAITING_INSTITUTION_MAX)));
        let place = Arc::clone(places).try_acquire_owned().ok()?;
        let (reply, answer) = oneshot::channel();
        let question = Question { range: request.range.clone(), reply, _place: place };
        self.waiting.try_send(question).ok()?;
        Some(answer)
    }
}

impl<B: DecidedBlocks> Server<B> {
    /// Answers in the order of asking, so many at once as [`limits::SYNC_READS_MAX`] says. When it returns, nothing reads the
    /// ledger any more, which may be opened again.
    pub async fn run(mut self) {
        let readers = Arc::new(Semaphore::new(limits::SYNC_READS_MAX));
        while let Some(question) = self.waiting.recv().await {
            // Nobody closes it.
            let Ok(reader) = Arc::clone(&readers).acquire_owned().await else { return };
            let (blocks, failed) = (self.blocks.clone(), self.failed.clone());
            tokio::task::spawn_blocking(move || {
                answer(&blocks, question, &failed);
                drop(blocks);
                drop(reader);
            });
        }
        // An error would say that it was closed.
        let _ = readers.acquire_many(limits::SYNC_READS_MAX as u32).await;
    }
}

fn answer<B: DecidedBlocks>(blocks: &B, question: Question, failed: &mpsc::Sender<ApplicationError>) {
    let values = match decided_values(blocks, &question.range) {
        Ok(values) => values,
        Err(error) => {
            // Where there is no room another failure is being told.
            let _ = failed.try_send(error);
            return;
        }
    };
    let response = Response::ValueResponse(ValueResponse::new(*question.range.start(), values));
    match LedgerCodec.encode(&response) {
        // Whoever asked may have gone.
        Ok(body) => drop(question.reply.send(body)),
        Err(error) => tracing::error!(%error, "a sync response could not be encoded"),
    }
}

/// Decided blocks for a peer that catches up: as many of the range as are held and fit one response.
///
/// # Errors
/// When the ledger cannot be read.
pub fn decided_values<B: DecidedBlocks>(
    blocks: &B,
    range: &RangeInclusive<EngineHeight>,
) -> Result<Vec<RawDecidedValue<LedgerContext>>, ApplicationError> {
    let heights = range.start().ledger()..=range.end().ledger();
    let blocks = blocks.decided(heights, SYNC_RESPONSE_BYTES_MAX - OVERHEAD_BYTES)?;
    let values = blocks
        .into_iter()
        .map(|block| RawDecidedValue::new(block.bytes.into(), extended_certificate(&block.certificate)));
    Ok(values.collect())
}

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, Mutex};

    use arc_malachitebft_sync::ValueRequest;
    use yilian_spec::base::height::Height;

    use super::*;
    use crate::application::DecidedBlock;

    /// Blocks of a disk that hangs until it is let go, and how many reads are under way.
    #[derive(Clone, Default)]
    struct Hanging(Arc<(Mutex<(usize, bool)>, Condvar)>);

    impl Hanging {
        fn reading(&self) -> usize {
            self.0.0.lock().unwrap().0
        }

        fn let_go(&self) {
            self.0.0.lock().unwrap().1 = true;
            self.0.1.notify_all();
        }
    }

    impl DecidedBlocks for Hanging {
        fn decided(
            &self,
            _heights: RangeInclusive<Height>,
            _bytes_max: usize,
        ) -> Result<Vec<DecidedBlock>, ApplicationError> {
            let mut state = self.0.0.lock().unwrap();
            state.0 += 1;
            while !state.1 {
                state = self.0.1.wait(state).unwrap();
            }
            Ok(Vec::new())
        }

        fn lowest_height(&self) -> Result<Height, ApplicationError> {
            Ok(Height::FIRST)
        }
    }

    fn request() -> Request<LedgerContext> {
        Request::ValueRequest(ValueRequest::new(EngineHeight(1)..=EngineHeight(8)))
    }

    fn member(number: usize) -> Option<InstitutionId> {
        Some(InstitutionId::new(&format!("member-{number}")).unwrap())
    }

    #[tokio::test]
    async fn few_are_read_at_once_some_wait_and_the_others_are_told_at_once() {
        let disk = Hanging::default();
        let (failed, _failures) = mpsc::channel(1);
        let (mut questions, server) = server(disk.clone(), failed);
        let running = tokio::spawn(server.run());
        let mut answers = Vec::new();
        // One institution has so many places, whatever room there is.
        for _ in 0..limits::SYNC_WAITING_INSTITUTION_MAX {
            answers.push(questions.ask(member(0), &request()).unwrap());
        }
        assert!(questions.ask(member(0), &request()).is_none());
        // All others together have the rest.
        let all = 10 * limits::SYNC_WAITING_MAX;
        answers.extend((1..=all).filter_map(|number| questions.ask(member(number), &request())));
        assert!(answers.len() <= limits::SYNC_WAITING_MAX + limits::SYNC_READS_MAX + 1, "{}", answers.len());
        while disk.reading() < limits::SYNC_READS_MAX {
            tokio::task::yield_now().await;
        }
        assert_eq!(disk.reading(), limits::SYNC_READS_MAX, "no more at once");

        disk.let_go();
        let waiting = answers.len();
        for answer in answers {
            answer.await.unwrap();
        }
        assert_eq!(disk.reading(), waiting);
        let again = questions.ask(member(0), &request()).expect("its places are free again");
        again.await.unwrap();
        drop(questions);
        running.await.unwrap();
    }

    #[tokio::test]
    async fn a_ledger_that_cannot_be_read_is_told_and_the_question_stays_open() {
        #[derive(Clone)]
        struct Broken;
        impl DecidedBlocks for Broken {
            fn decided(
                &self,
                _heights: RangeInclusive<Height>,
                _bytes_max: usize,
            ) -> Result<Vec<DecidedBlock>, ApplicationError> {
                Err(ApplicationError::Broken { reason: "a row is missing".to_owned() })
            }

            fn lowest_height(&self) -> Result<Height, ApplicationError> {
                Ok(Height::FIRST)
            }
        }
        let (failed, mut failures) = mpsc::channel(1);
        let (mut questions, server) = server(Broken, failed);
        tokio::spawn(server.run());
        let answer = questions.ask(member(0), &request()).unwrap();
        assert!(answer.await.is_err());
        assert!(failures.recv().await.unwrap().to_string().contains("a row is missing"));
    }
}
