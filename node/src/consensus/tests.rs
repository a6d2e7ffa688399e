//! Whole networks in one process: real engine, real TCP on loopback, a small ledger of opaque items.

mod cluster;
mod ledger;
pub(crate) mod window;

use cluster::{Cluster, eventually};
use ledger::ITEMS_PER_BLOCK;
use yilian_spec::base::height::Height;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_validators_agree_and_rest_when_the_work_is_done() {
    let mut cluster = Cluster::new(4);
    cluster.start_all().await;
    for item in 0..20_u8 {
        cluster.submit(usize::from(item) % 4, vec![item; 100]);
    }
    cluster.wait_for_items(&[0, 1, 2, 3], 20).await;
    cluster.assert_same_ledgers(&[0, 1, 2, 3]);
    cluster.assert_certificates(0);

    // Let the last heights end everywhere, then nothing may move: the heartbeat is far away.
    eventually("all nodes rest", || (0..4).all(|node| cluster.is_resting(node))).await;
    let heights: Vec<Height> = (0..4).map(|node| cluster.tip(node)).collect();
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    assert_eq!(heights, (0..4).map(|node| cluster.tip(node)).collect::<Vec<_>>(), "no empty blocks");

    cluster.submit(2, b"woken".to_vec());
    cluster.wait_for_items(&[0, 1, 2, 3], 21).await;
    cluster.stop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_of_many_parts_arrives_whole() {
    let mut cluster = Cluster::new(4);
    cluster.start_all().await;
    cluster.submit(1, vec![5; 3 * 1024 * 1024]);
    cluster.wait_for_items(&[0, 1, 2, 3], 1).await;
    cluster.assert_same_ledgers(&[0, 1, 2, 3]);
    cluster.stop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_of_four_go_on_and_the_fourth_catches_up_after_its_restart() {
    let mut cluster = Cluster::new(4);
    cluster.start_all().await;
    cluster.submit(0, b"before".to_vec());
    cluster.wait_for_items(&[0, 1, 2, 3], 1).await;

    cluster.stop(3).await;
    for item in 0..6_u8 {
        cluster.submit(usize::from(item) % 3, vec![item]);
        cluster.wait_for_items(&[0, 1, 2], 2 + usize::from(item)).await;
    }
    assert_eq!(cluster.items(3), 1);

    cluster.start(3).await;
    cluster.wait_for_items(&[3], 7).await;
    cluster.submit(3, b"after".to_vec());
    cluster.wait_for_items(&[0, 1, 2, 3], 8).await;
    cluster.assert_same_ledgers(&[0, 1, 2, 3]);
    cluster.assert_certificates(3);
    cluster.stop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_of_four_decide_nothing_until_a_third_is_back() {
    let mut cluster = Cluster::new(4);
    cluster.start_all().await;
    cluster.submit(0, b"first".to_vec());
    cluster.wait_for_items(&[0, 1, 2, 3], 1).await;
    cluster.stop(2).await;
    cluster.stop(3).await;
    let tips = (cluster.tip(0), cluster.tip(1));
    cluster.submit(0, b"second".to_vec());
    // Two of four cannot even end a round: both keep trying in round 0.
    eventually("both try", || !cluster.is_resting(0) && !cluster.is_resting(1)).await;
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    assert_eq!(tips, (cluster.tip(0), cluster.tip(1)));

    cluster.start(2).await;
    cluster.wait_for_items(&[0, 1, 2], 2).await;
    cluster.start(3).await;
    cluster.wait_for_items(&[3], 2).await;
    cluster.assert_same_ledgers(&[0, 1, 2, 3]);
    cluster.stop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_four_continue_after_a_restart_of_all() {
    let mut cluster = Cluster::new(4);
    cluster.start_all().await;
    cluster.submit(1, b"first".to_vec());
    cluster.wait_for_items(&[0, 1, 2, 3], 1).await;
    cluster.stop_all().await;
    cluster.start_all().await;
    cluster.submit(2, b"second".to_vec());
    cluster.wait_for_items(&[0, 1, 2, 3], 2).await;
    cluster.assert_same_ledgers(&[0, 1, 2, 3]);
    cluster.stop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_observer_follows_and_a_wiped_validator_rebuilds() {
    let mut cluster = Cluster::new(4);
    cluster.start_all().await;
    for item in 0..12_u8 {
        cluster.submit(0, vec![item]);
        cluster.wait_for_items(&[0], 1 + usize::from(item)).await;
    }
    let observer = cluster.add_observer();
    cluster.start(observer).await;
    cluster.wait_for_items(&[observer], 12).await;
    cluster.submit(1, b"live".to_vec());
    cluster.wait_for_items(&[observer], 13).await;
    assert!(!cluster.is_validator(observer));

    cluster.stop(2).await;
    cluster.wipe(2);
    cluster.start(2).await;
    cluster.wait_for_items(&[2], 13).await;
    cluster.assert_same_ledgers(&[0, 1, 2, 3, observer]);
    cluster.stop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn validators_decide_while_they_read_blocks_for_another_however_long_that_takes() {
    let mut cluster = Cluster::new(4);
    cluster.start_all().await;
    cluster.submit(0, b"before".to_vec());
    cluster.wait_for_items(&[0, 1, 2, 3], 1).await;
    cluster.stop(3).await;
    cluster.wipe(3);
    (0..3).for_each(|node| cluster.hang_reads(node, true));
    cluster.start(3).await;
    eventually("a peer is read for", || (0..3).any(|node| cluster.reads_waiting(node) > 0)).await;

    for item in 0..6_u8 {
        cluster.submit(usize::from(item) % 3, vec![item]);
        cluster.wait_for_items(&[0, 1, 2], 2 + usize::from(item)).await;
    }
    assert!((0..3).any(|node| cluster.reads_waiting(node) > 0), "nothing was answered meanwhile");
    assert_eq!(cluster.items(3), 0);

    (0..3).for_each(|node| cluster.hang_reads(node, false));
    cluster.wait_for_items(&[3], 7).await;
    cluster.assert_same_ledgers(&[0, 1, 2, 3]);
    cluster.stop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_commit_stops_the_node_with_its_reason() {
    let mut cluster = Cluster::new(4);
    cluster.start_all().await;
    cluster.fail_commits(1);
    cluster.submit(0, b"item".to_vec());
    let error = cluster.wait_for_end(1).await;
    assert!(error.to_string().contains("storage failed while writing a block"), "{error}");
    cluster.wait_for_items(&[0, 2, 3], 1).await;
    cluster.stop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_blocks_follow_each_other_under_load() {
    const BLOCKS_PER_NODE: usize = 10;
    let mut cluster = Cluster::new(4);
    for node in 0..4 {
        for item in 0..BLOCKS_PER_NODE * ITEMS_PER_BLOCK {
            let mut bytes = vec![u8::try_from(node).unwrap(); 200];
            bytes[..8].copy_from_slice(&item.to_le_bytes());
            cluster.submit(node, bytes);
        }
    }
    cluster.start_all().await;
    cluster.wait_for_items(&[0, 1, 2, 3], ITEMS_PER_BLOCK).await;
    let (start, first) = (std::time::Instant::now(), cluster.tip(0));
    cluster.wait_for_items(&[0, 1, 2, 3], 4 * BLOCKS_PER_NODE * ITEMS_PER_BLOCK).await;
    let (elapsed, blocks) = (start.elapsed(), cluster.tip(0).0 - first.0);
    println!(
        "{blocks} blocks of {ITEMS_PER_BLOCK} items of 200 bytes in {elapsed:.2?}, four validators in one process"
    );
    cluster.assert_same_ledgers(&[0, 1, 2, 3]);
    cluster.stop_all().await;
}
