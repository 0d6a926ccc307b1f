// SPDX-License-Identifier: MIT

// A Go program: work in goroutines, one of which grows its stack.
package main

import (
	"os"
	"strconv"
	"time"
)

var sink uint64

//go:noinline
func burn() {
	x := uint64(88172645463325252)
	for i := 0; i < 10000; i++ {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	sink = x
}

//go:noinline
func goInner() {
	for i := 0; i < 10; i++ {
		burn()
	}
}

//go:noinline
func goOuter(depth int) {
	if depth > 1 {
		goOuter(depth - 1)
		return
	}
	goInner()
}

//go:noinline
func goroutine(end time.Time, done chan bool) {
	for time.Now().Before(end) {
		goOuter(40)
	}
	done <- true
}

func main() {
	seconds := 1.0
	if len(os.Args) > 2 {
		seconds, _ = strconv.ParseFloat(os.Args[2], 64)
	}
	end := time.Now().Add(time.Duration(seconds * float64(time.Second)))
	done := make(chan bool)
	go goroutine(end, done)
	for time.Now().Before(end) {
		goOuter(5)
	}
	<-done
}
