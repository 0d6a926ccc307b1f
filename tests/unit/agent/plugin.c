/* SPDX-License-Identifier: MIT */
/* An object that a program opens, by path or by name. */
unsigned long plugin_work(unsigned int ms);
unsigned long spin(unsigned int ms);

__attribute__((noinline)) unsigned long plugin_work(unsigned int ms)
{
	return spin(ms) + 1;
}
