//! The mark of RSA keys made by the broken Infineon library (CVE-2017-15361), whose private half can be computed.

// Primes modulo which such a modulus is always a power of 65537. A sound key passes all of them once in 2^27.
const PRIMES: [u32; 23] = [3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157];

/// True for a modulus, big-endian, that bears the mark.
pub fn is_marked(modulus: &[u8]) -> bool {
    PRIMES.iter().all(|prime| is_power_of_65537(remainder(modulus, *prime), *prime))
}

fn remainder(number: &[u8], prime: u32) -> u32 {
    number.iter().fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % prime)
}

fn is_power_of_65537(residue: u32, prime: u32) -> bool {
    let mut power = 1;
    for _ in 0..prime {
        if power == residue {
            return true;
        }
        power = power * 65_537 % prime;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_of_65537_is_marked_and_its_neighbour_is_not() {
        let mut power = vec![1u8];
        for _ in 0..100 {
            power = times_65537(&power);
        }
        assert!(is_marked(&power), "65537^100 has the form of every such key");
        *power.last_mut().expect("it has digits") ^= 2;
        assert!(!is_marked(&power), "a number next to it has not");
    }

    // 65537 = 2^16 + 1.
    fn times_65537(number: &[u8]) -> Vec<u8> {
        let mut sum = [&[0], number, &[0, 0]].concat();
        let mut carry = 0u16;
        for index in (0..sum.len()).rev() {
            let from_end = sum.len() - 1 - index;
            let other = number.len().checked_sub(1 + from_end).map_or(0, |at| number[at]);
            carry += u16::from(sum[index]) + u16::from(other);
            sum[index] = carry as u8;
            carry >>= 8;
        }
        sum
    }
}
