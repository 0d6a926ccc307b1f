/* SPDX-License-Identifier: MIT */
/*
 * Work in signal handlers: sent by raise() on the normal and on the alternate
 * stack, and by a timer that interrupts anything anywhere.
 */
#include "program.h"

#include <signal.h>
#include <sys/time.h>

static char alternate[64 * 1024];

FRAME static void on_signal(int number)
{
	burn();
}

FRAME static void on_alternate(int number)
{
	burn();
}

FRAME static void on_alarm(int number)
{
	for (int i = 0; i < 20; i++)
		burn();
}

FRAME static void raises(void)
{
	raise(SIGUSR1);
	raise(SIGUSR2);
}

FRAME static void interrupted(void)
{
	for (int i = 0; i < 20; i++)
		burn();
}

static void handle(int number, void (*handler)(int), int flags)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = flags };

	must(!sigaction(number, &action, NULL), "sigaction");
}

int main(int argc, char **argv)
{
	stack_t stack = { .ss_sp = alternate, .ss_size = sizeof(alternate) };
	struct itimerval timer = { { 0, 3000 }, { 0, 3000 } };

	program_start(argc, argv);
	must(!sigaltstack(&stack, NULL), "sigaltstack");
	handle(SIGUSR1, on_signal, 0);
	handle(SIGUSR2, on_alternate, SA_ONSTACK);
	handle(SIGALRM, on_alarm, SA_RESTART);
	setitimer(ITIMER_REAL, &timer, NULL);
	while (running()) {
		raises();
		interrupted();
	}
	return 0;
}
