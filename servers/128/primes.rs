//! Prints primes.
fn main() {
    for p in PRIMES {
        println!("{p}");
    }
}
const PRIMES: [u32; 1] = [
    2,
];
//..
