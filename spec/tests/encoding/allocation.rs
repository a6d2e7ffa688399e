//! A length that lies does not make the reader allocate (rule E-2): every list's length set to 2^60 and to all ones.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use yilian_spec::base::codec::{self, Canonical};
use yilian_spec::base::limits;
use yilian_spec::ledger::block::{Block, CommitCertificate, Header};
use yilian_spec::ledger::genesis::Genesis;
use yilian_spec::ledger::transaction::Transaction;
use yilian_spec::settlement::terms::Terms;

use crate::generate::{Arbitrary, Gen};

/// Counts what each thread allocates, and leaves the rest to the system.
struct Counting;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
    static TOTAL: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged; the counters are plain cells of the calling thread.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = LARGEST.try_with(|cell| cell.set(cell.get().max(layout.size())));
        let _ = TOTAL.try_with(|cell| cell.set(cell.get().saturating_add(layout.size())));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, and `alloc` above is the system's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The largest single allocation and the sum of all, in bytes, while `run` ran on this thread.
fn measure(run: impl FnOnce()) -> (usize, usize) {
    LARGEST.set(0);
    TOTAL.set(0);
    run();
    (LARGEST.get(), TOTAL.get())
}

/// What one list may set aside before its elements are there (rule E-2), in bytes.
const LIST_BYTES_MAX: usize = 4 << 20;
/// Lists that stand in each other anywhere in the protocol: a block's transactions, their operations, the terms of
/// one, its steps, the tiers of one.
const DEPTH_MAX: usize = 5;

/// Puts `lie` at every position of an encoding, among them those of all lengths, and reads.
fn lie_everywhere<T: Canonical + Arbitrary>(limit: usize) {
    let mut lies = 0;
    for seed in 0..20 {
        let bytes = codec::encode(&T::arbitrary(&mut Gen::new(seed)));
        for lie in [1u64 << 60, u64::MAX, 1 << 21] {
            for position in 0..bytes.len().saturating_sub(7).min(2_000) {
                let mut changed = bytes.clone();
                changed[position..position + 8].copy_from_slice(&lie.to_le_bytes());
                let (largest, total) = measure(|| drop(codec::decode::<T>(&changed, limit)));
                assert!(largest <= LIST_BYTES_MAX, "{largest} bytes at once for {} bytes", bytes.len());
                // Reading and writing again cost a small multiple of the input beside what lists set aside.
                let bound = DEPTH_MAX * LIST_BYTES_MAX + 64 * bytes.len() + 4_096;
                assert!(total <= bound, "{total} bytes in all for {} bytes", bytes.len());
                lies += 1;
            }
        }
    }
    assert!(lies > 1_000, "only {lies} lies were tried");
}

#[test]
fn a_transaction_that_lies_about_a_length() {
    lie_everywhere::<Transaction>(limits::TRANSACTION_BYTES_MAX);
}

#[test]
fn a_block_or_header_that_lies_about_a_length() {
    lie_everywhere::<Block>(limits::BLOCK_BYTES_MAX);
    lie_everywhere::<Header>(limits::HEADER_BYTES_MAX);
}

#[test]
fn a_certificate_that_lies_about_a_length() {
    lie_everywhere::<CommitCertificate>(limits::CERTIFICATE_BYTES_MAX);
}

#[test]
fn a_genesis_or_terms_that_lie_about_a_length() {
    lie_everywhere::<Genesis>(limits::GENESIS_BYTES_MAX);
    lie_everywhere::<Terms>(limits::TRANSACTION_BYTES_MAX);
}

#[test]
fn what_is_longer_than_its_kind_may_be_is_not_read_at_all() {
    let bytes = vec![0; limits::TRANSACTION_BYTES_MAX + 1];
    let mut refused = false;
    let (_, total) = measure(|| {
        refused = codec::decode::<Transaction>(&bytes, limits::TRANSACTION_BYTES_MAX).is_err();
    });
    assert!(refused);
    assert_eq!(total, 0);
}
