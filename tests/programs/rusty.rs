// SPDX-License-Identifier: MIT
// A Rust program three calls deep, with work in a closure, a generic and a panic that is caught.
use std::hint::black_box;
use std::time::{Duration, Instant};

#[inline(never)]
fn burn() {
    let mut x: u64 = 88172645463325252;
    for _ in 0..10000 {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x = black_box(x);
    }
}

#[inline(never)]
fn rust_inner<F: Fn()>(work: F) {
    work();
    black_box(());
}

#[inline(never)]
fn rust_outer(depth: u32) {
    if depth > 1 {
        rust_outer(depth - 1);
    } else {
        rust_inner(burn);
    }
    black_box(depth);
}

#[inline(never)]
fn rust_panics(depth: u32) {
    burn();
    if depth == 0 {
        std::panic::panic_any(7u32);
    }
    rust_panics(depth - 1);
    black_box(depth);
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let seconds: f64 = arguments.get(2).map_or(1.0, |s| s.parse().unwrap());
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    std::panic::set_hook(Box::new(|_| {}));
    while Instant::now() < end {
        for _ in 0..50 {
            rust_outer(5);
        }
        let _ = std::panic::catch_unwind(|| rust_panics(3));
    }
}
