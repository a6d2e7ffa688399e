//! Plays as one would write them, in the choices that the machine's target reads: the corpus begins with them.

/// The actors by their places.
const TEACHING: u8 = 0;
const COUNTY: u8 = 1;
const TOWNSHIP: u8 = 2;
const INSURER: u8 = 3;

/// One block with one transaction of one operation: the kind and the choices that its fields read.
fn act(play: &mut Vec<u8>, actor: u8, kind: u8, choices: &[u8]) {
    play.extend([10, 0, 0, actor, 0, kind]);
    play.extend(choices);
    play.extend([0, 0, 0]);
}

/// All of them.
pub fn all() -> Vec<Vec<u8>> {
    vec![access(), referral(), money(), keys()]
}

/// A grant, a disclosure under it and its receipt, one beyond it, a revocation, one after it.
fn access() -> Vec<u8> {
    let mut play = Vec::new();
    act(&mut play, COUNTY, 3, &[0, TEACHING, 4, 0, 100, 5]);
    act(&mut play, COUNTY, 5, &[0, TEACHING, 0, 0, 0, 7, 0, 0]);
    act(&mut play, TEACHING, 6, &[0, 7]);
    act(&mut play, COUNTY, 5, &[0, TEACHING, 2, 0, 0, 7, 0, 0]);
    act(&mut play, COUNTY, 5, &[0, TEACHING, 0, 1, 0, 8, 3]);
    act(&mut play, COUNTY, 4, &[0]);
    act(&mut play, COUNTY, 5, &[0, TEACHING, 0, 0, 0, 9, 0, 0]);
    play
}

/// Referrals: one to its end and back down, one declined, one redirected, accepted and cancelled.
fn referral() -> Vec<u8> {
    let mut play = Vec::new();
    act(&mut play, TEACHING, 7, &[0, 3, 2]);
    act(&mut play, TOWNSHIP, 8, &[0, TEACHING, 0, 2, 0, 1, 0]);
    act(&mut play, TEACHING, 9, &[0]);
    act(&mut play, TOWNSHIP, 13, &[0, 5]);
    act(&mut play, TEACHING, 14, &[0, 5]);
    act(&mut play, TEACHING, 15, &[0, 6]);
    act(&mut play, TOWNSHIP, 7, &[0, 3, 2]);
    act(&mut play, TEACHING, 18, &[0, 2, 0, 3, 0]);
    act(&mut play, TOWNSHIP, 9, &[0]);
    act(&mut play, TOWNSHIP, 16, &[1]);
    act(&mut play, TEACHING, 16, &[1]);
    act(&mut play, TEACHING, 17, &[1]);
    act(&mut play, TOWNSHIP, 17, &[1]);
    act(&mut play, TOWNSHIP, 8, &[1, COUNTY, 0, 1, 1, 1, 0]);
    act(&mut play, COUNTY, 10, &[0, 0]);
    act(&mut play, TOWNSHIP, 8, &[1, COUNTY, 0, 2, 2, 1, 0]);
    act(&mut play, COUNTY, 11, &[0, TEACHING, 1]);
    act(&mut play, TEACHING, 9, &[0]);
    act(&mut play, TOWNSHIP, 25, &[0, TEACHING]);
    act(&mut play, TEACHING, 9, &[0]);
    act(&mut play, TOWNSHIP, 12, &[0, 2]);
    play
}

/// An agreement signed by all, services under it, one reversed, periods closed, one reversed late, an end.
fn money() -> Vec<u8> {
    let mut play = Vec::new();
    act(&mut play, TEACHING, 21, &[0, 0, COUNTY, 1, 0, 50, 0, 200, 0]);
    act(&mut play, COUNTY, 22, &[0, 0]);
    act(&mut play, INSURER, 22, &[0, 0]);
    act(&mut play, TEACHING, 19, &[1, 0, 0, 0, 100, 1, 0, 0]);
    act(&mut play, COUNTY, 19, &[1, 0, 0, 0, 90, 2, 0, 0]);
    act(&mut play, COUNTY, 20, &[0]);
    act(&mut play, INSURER, 24, &[0, 0, 0]);
    act(&mut play, TEACHING, 20, &[1]);
    act(&mut play, INSURER, 24, &[0, 0, 1]);
    act(&mut play, TEACHING, 23, &[0]);
    act(&mut play, COUNTY, 21, &[0, 1, TOWNSHIP, 2, 2, 0, 33, 66, 0, 200, 2, 4]);
    play
}

/// Keys registered, rotated and revoked.
fn keys() -> Vec<u8> {
    let mut play = Vec::new();
    act(&mut play, TEACHING, 0, &[3, 0, 0, 100, 0, 0]);
    act(&mut play, COUNTY, 1, &[4, 1, 1, 0, 100, 0, 0]);
    act(&mut play, TOWNSHIP, 2, &[5, 0, 0, 0, 100, 0, 0]);
    act(&mut play, INSURER, 2, &[2, 0, 0, 0, 100, 0, 0]);
    play
}
