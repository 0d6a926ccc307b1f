/* SPDX-License-Identifier: MIT */
/*
 * Threads that look words up in a table which another one replaces all the time:
 * RCU lets them read without a lock, tracepoints say what they find.
 *
 *	./cache SECONDS		prints what became of the lookups
 *
 * Tracepoints work in templates, lambdas and inline members as anywhere.
 */
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include <retour/rcu.h>
#include <retour/tracepoint.h>

RETOUR_TRACEPOINT(cache, lookup, (const char *, word), (bool, hit));
RETOUR_TRACEPOINT(cache, replace, (unsigned long, generation), (unsigned long, words));
#define trace_cache_replace(...) RETOUR_TRACE(cache_replace, (__VA_ARGS__))	/* its arguments cost something */

namespace {

const std::vector<std::string> vocabulary = { "return", "echo", "answer", "reply", "response", "retour" };

struct table {
	retour_rcu_head head;	/* first: what the callback is given */
	unsigned long generation;
	std::unordered_map<std::string, int> words;
};

table *current;
std::atomic<bool> stop;
std::atomic<unsigned long> hits, misses;

bool lookup(const std::string &word)
{
	retour_guard_rcu();
	table *t = retour_rcu_dereference(current);
	bool hit = t && t->words.count(word) != 0;

	trace_cache_lookup(word.c_str(), hit);
	return hit;
}

void read_words()
{
	for (unsigned long i = 0; !stop; i++)
		(lookup(vocabulary[i % vocabulary.size()]) ? hits : misses)++;
}

unsigned long letters(const table &t)
{
	unsigned long n = 0;

	for (const auto &word : t.words)
		n += word.first.size();
	return n;
}

void replace_table(unsigned long generation)
{
	table *old = current, *t = new table{ {}, generation, {} };

	for (size_t i = 0; i < vocabulary.size(); i++)
		if (i % 2 == generation % 2)
			t->words[vocabulary[i]] = 0;
	trace_cache_replace(generation, letters(*t));
	retour_rcu_assign_pointer(current, t);
	if (old)
		retour_call_rcu(&old->head, [](retour_rcu_head *head) { delete reinterpret_cast<table *>(head); });
}

} // namespace

int main(int argc, char **argv)
{
	auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(argc > 1 ? atof(argv[1]) : 1);
	std::vector<std::thread> readers;
	unsigned long generation = 0;

	for (int i = 0; i < 2; i++)
		readers.emplace_back(read_words);
	while (std::chrono::steady_clock::now() < end) {
		replace_table(generation++);
		std::this_thread::sleep_for(std::chrono::milliseconds(1));
	}
	stop = true;
	for (auto &reader : readers)
		reader.join();
	retour_rcu_barrier();
	delete current;
	printf("%lu hits, %lu misses, %lu tables\n", hits.load(), misses.load(), generation);
}
