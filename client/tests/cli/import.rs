//! What an import submits, against a node: nothing that the rules would refuse.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use yilian_client::import::changes::Sources;
use yilian_client::import::document::{Key, Secret};
use yilian_client::import::draft::{Draft, Item, SubjectIndex, Wave};
use yilian_client::import::journal::Journal;
use yilian_client::import::submit::{Submitter, Tally};
use yilian_client::import::watch::Watch;
use yilian_spec::base::height::Height;

use crate::commands::client;
use crate::ledger::{Day, SUBJECT, institution};
use crate::node::Node;

/// A grant to an institution, which the rules refuse where that is no member.
fn grant_to(number: u8, grantee: &str, secret: &Secret) -> Item {
    let consent = secret.commit("consent", &[grantee], &[number]);
    Item {
        key: Key([number; 32]),
        source: "Encounter".into(),
        wave: Wave::Open,
        author: institution("qinghe-hospital"),
        draft: Draft::Grant { subject: SubjectIndex(0), grantee: institution(grantee), consent },
        after: None,
    }
}

#[tokio::test]
async fn what_the_rules_would_refuse_is_counted_and_not_on_record_and_tried_again() {
    let day = Arc::new(Mutex::new(Day::play()));
    let node = Node::start(Arc::clone(&day));
    let author = institution("qinghe-hospital");
    let clients = BTreeMap::from([(author.clone(), client(&day, &node).await)]);
    let (secret, place) = (Secret::new([1; 32]), tempfile::tempdir().unwrap());
    let chain_id = clients[&author].chain_id();
    let now = yilian_local::moment::now().unwrap();
    let mut submitter = Submitter {
        repeated: Vec::new(),
        clients: &clients,
        journal: Journal::open(&place.path().join("journal"), chain_id, None).unwrap(),
        tags: vec![*SUBJECT],
        sources: Sources::new(&secret, &[(author, "qinghe-hospital/p1".to_owned())]),
        now,
        seen: Height(0),
        operations_max: 10,
        in_flight_max: 4,
        secret: &secret,
        watch: Watch::default(),
        progress: indicatif::ProgressBar::hidden(),
        tally: Tally::default(),
    };
    let items = [
        grant_to(1, "renhe-hospital", &secret),
        grant_to(2, "typo-hospital", &secret),
        grant_to(3, "renhe-hospital", &secret),
    ];
    submitter.wave(&items).await.unwrap();
    assert_eq!(node.submitted().len(), 1, "only what the rules take");
    assert_eq!(submitter.tally.recorded["grant_access"], 2);
    assert_eq!(submitter.tally.refused["grant_access"].values().sum::<u64>(), 1);
    assert!(submitter.journal.fate(&items[1].key).is_none(), "the next run tries it again");
    assert!(submitter.seen > Height(0));
    submitter.wave(&items).await.unwrap();
    assert_eq!(node.submitted().len(), 1);
    assert_eq!(submitter.tally.before["grant_access"], 2);
}
