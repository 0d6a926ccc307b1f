/* SPDX-License-Identifier: MIT */
/* make_recording FILE: writes the synthetic recording, for tests of what becomes of it. */
#include "synthetic.h"

#include <stdio.h>

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: make_recording FILE\n");
		return 2;
	}
	synthetic_write(argv[1]);
	return 0;
}
