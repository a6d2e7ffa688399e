//! What the rules would say to a transaction, asked before it is submitted: a refusal would stay on the ledger for ever.
//!
//! The node that is asked may be a moment behind the one that confirmed what the transaction needs. So a refusal as of a block
//! before the highest that the import has seen says nothing, and is asked for again.

use std::time::Duration;

use yilian_spec::api::transaction::Checked;
use yilian_spec::base::height::Height;
use yilian_spec::ledger::receipt::Outcome;
use yilian_spec::ledger::transaction::TransactionBody;

use super::limits;
use crate::client::Client;
use crate::error::ClientError;

/// Asks until a node has room for the question and has come as far as `seen`.
///
/// # Errors
/// [`ClientError::Rejected`] when no block could carry it or there is no room for too long, or what asking gives.
pub async fn trial(
    client: &Client,
    transaction: &TransactionBody,
    seen: Height,
) -> Result<Outcome, ClientError> {
    let mut waited_ms = 0;
    loop {
        let answer = client.check(transaction).await;
        let pause_ms = match &answer {
            Ok(checked) if is_behind(checked, seen) => crate::limits::CATCH_UP_PAUSE_MS,
            Ok(checked) => return Ok(checked.outcome),
            Err(error) if is_busy(error) => limits::BUSY_PAUSE_MS,
            Err(_) => return answer.map(|checked| checked.outcome),
        };
        if waited_ms > limits::TRIAL_WAIT_MS_MAX {
            return Err(match answer {
                Ok(Checked { height, .. }) => ClientError::Unreachable {
                    attempts: vec![format!(
                        "the node that was asked stays at block {height}, before block {seen}"
                    )],
                },
                Err(error) => error,
            });
        }
        waited_ms += pause_ms;
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
    }
}

/// Whether a refusal may come from what the node has not seen yet.
fn is_behind(checked: &Checked, seen: Height) -> bool {
    checked.height < seen && checked.outcome != Outcome::Applied
}

/// Whether a node may have room a little later.
pub fn is_busy(error: &ClientError) -> bool {
    matches!(error, ClientError::Rejected { status: 429 | 503, .. } | ClientError::Unreachable { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use yilian_spec::domain::refusal::Refusal;

    #[test]
    fn a_refusal_by_a_node_that_is_behind_says_nothing() {
        let refused = Outcome::Refused { operation: 0, reason: Refusal::EvidenceRepeated };
        let checked = |height, outcome| Checked { height: Height(height), outcome };
        assert!(is_behind(&checked(4, refused), Height(5)));
        assert!(!is_behind(&checked(5, refused), Height(5)));
        assert!(!is_behind(&checked(4, Outcome::Applied), Height(5)));
    }
}
