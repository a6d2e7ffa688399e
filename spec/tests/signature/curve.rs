//! The curve of Ed25519 in plain big-integer arithmetic, written from RFC 8032 section 5.1 and ZIP-215.
//!
//! It restates the rule that the crate enforces without calling any code that the crate calls. Slow (milliseconds
//! for one verification) and not constant in time: for tests only.

use num_bigint::BigUint;
use sha2::{Digest, Sha512};

/// A point in extended coordinates: x = X/Z, y = Y/Z, xy = T/Z.
#[derive(Clone)]
pub struct Point {
    x: BigUint,
    y: BigUint,
    z: BigUint,
    t: BigUint,
}

/// The field prime, 2^255 - 19.
fn prime() -> BigUint {
    (BigUint::from(1u8) << 255) - 19u8
}

/// The order of the prime-order subgroup.
pub fn order() -> BigUint {
    (BigUint::from(1u8) << 252) + 27742317777372353535851937790883648493u128
}

fn subtract(left: &BigUint, right: &BigUint) -> BigUint {
    (left + prime() - right % prime()) % prime()
}

fn invert(value: &BigUint) -> BigUint {
    value.modpow(&(prime() - 2u8), &prime())
}

/// The curve's constant d = -121665/121666.
fn curve_d() -> BigUint {
    subtract(&BigUint::ZERO, &BigUint::from(121665u32)) * invert(&BigUint::from(121666u32)) % prime()
}

impl Point {
    fn from_affine(x: BigUint, y: BigUint) -> Self {
        let t = &x * &y % prime();
        Self { x, y, z: BigUint::from(1u8), t }
    }

    /// The neutral element.
    pub fn identity() -> Self {
        Self::from_affine(BigUint::ZERO, BigUint::from(1u8))
    }

    /// The base point: y = 4/5, x even.
    pub fn base() -> Self {
        let y = BigUint::from(4u8) * invert(&BigUint::from(5u8)) % prime();
        let mut encoded = [0; 32];
        encoded.copy_from_slice(&y.to_bytes_le());
        Self::decode(&encoded).expect("the base point is on the curve")
    }

    /// Decodes as ZIP-215 demands: y may be at or above the prime, x may be "minus zero".
    pub fn decode(encoded: &[u8; 32]) -> Option<Self> {
        let (p, one) = (prime(), BigUint::from(1u8));
        let odd = encoded[31] & 0x80 != 0;
        let y = (BigUint::from_bytes_le(encoded) % (&one << 255)) % &p;
        let y_squared = &y * &y % &p;
        let x_squared = subtract(&y_squared, &one) * invert(&(curve_d() * &y_squared + &one)) % &p;
        // Square root for a prime of the form 8n + 5.
        let mut x = x_squared.modpow(&((&p + 3u8) / 8u8), &p);
        if &x * &x % &p != x_squared {
            x = x * BigUint::from(2u8).modpow(&((&p - 1u8) / 4u8), &p) % &p;
        }
        if &x * &x % &p != x_squared {
            return None;
        }
        if x.bit(0) != odd {
            x = subtract(&BigUint::ZERO, &x);
        }
        Some(Self::from_affine(x, y))
    }

    /// The canonical encoding.
    pub fn encode(&self) -> [u8; 32] {
        let z_inverse = invert(&self.z);
        let x = &self.x * &z_inverse % prime();
        let mut bytes = (&self.y * &z_inverse % prime()).to_bytes_le();
        bytes.resize(32, 0);
        bytes[31] |= if x.bit(0) { 0x80 } else { 0 };
        bytes.try_into().expect("resized to 32 bytes")
    }

    /// The sum of two points; the formula is complete on this curve (RFC 8032, section 5.1.4).
    pub fn add(&self, other: &Self) -> Self {
        let p = prime();
        let a = subtract(&self.y, &self.x) * subtract(&other.y, &other.x) % &p;
        let b = (&self.y + &self.x) * (&other.y + &other.x) % &p;
        let c = &self.t * BigUint::from(2u8) * curve_d_cached() % &p * &other.t % &p;
        let d = &self.z * BigUint::from(2u8) * &other.z % &p;
        let (e, f, g, h) = (subtract(&b, &a), subtract(&d, &c), (&d + &c) % &p, (&b + &a) % &p);
        Self { x: &e * &f % &p, y: &g * &h % &p, z: &f * &g % &p, t: &e * &h % &p }
    }

    /// The point added to itself `factor` times.
    pub fn multiply(&self, factor: &BigUint) -> Self {
        let mut result = Self::identity();
        for position in (0..factor.bits()).rev() {
            result = result.add(&result);
            if factor.bit(position) {
                result = result.add(self);
            }
        }
        result
    }

    /// Whether two points are the same.
    pub fn equals(&self, other: &Self) -> bool {
        let p = prime();
        &self.x * &other.z % &p == &other.x * &self.z % &p
            && &self.y * &other.z % &p == &other.y * &self.z % &p
    }
}

fn curve_d_cached() -> &'static BigUint {
    static D: std::sync::LazyLock<BigUint> = std::sync::LazyLock::new(curve_d);
    &D
}

/// The challenge k = SHA-512(R, A, message) modulo the order.
pub fn challenge(commitment: &[u8], key: &[u8; 32], message: &[u8]) -> BigUint {
    let digest = Sha512::new().chain_update(commitment).chain_update(key).chain_update(message).finalize();
    BigUint::from_bytes_le(&digest) % order()
}

/// Whether ZIP-215 accepts the signature: A and R decode, S is below the order, and 8·S·B = 8·R + 8·k·A.
pub fn zip215_accepts(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let (commitment, scalar) = signature.split_at(32);
    let commitment_bytes: [u8; 32] = commitment.try_into().expect("half of 64 bytes");
    let (Some(a), Some(r)) = (Point::decode(key), Point::decode(&commitment_bytes)) else {
        return false;
    };
    let s = BigUint::from_bytes_le(scalar);
    if s >= order() {
        return false;
    }
    let eight = BigUint::from(8u8);
    let left = Point::base().multiply(&s).multiply(&eight);
    let right = r.add(&a.multiply(&challenge(commitment, key, message))).multiply(&eight);
    left.equals(&right)
}
