//! Names the institutions of an operation that are not members: the rule that refuses it says only that there is one.

use yilian_client::client::Client;
use yilian_spec::domain::Operation;
use yilian_spec::domain::membership::Institution;
use yilian_spec::domain::operate::Named;
use yilian_spec::state::key::StateKey;

/// A sentence about the institutions that the operation names and the ledger does not know. None where the node cannot be
/// asked: the refusal stands without it.
pub async fn describe(client: &Client, operation: &Operation) -> Option<String> {
    let mut strangers = Vec::new();
    for id in operation.names().into_iter().map(Named::institution) {
        let key = StateKey::Institution(id.clone());
        if client.row::<Institution>(&key).await.ok()?.value.is_none() {
            strangers.push(id.as_str());
        }
    }
    let names = strangers.join(", ");
    (!names.is_empty()).then(|| format!("no member: {names}; `yilian institution list` shows the members"))
}
