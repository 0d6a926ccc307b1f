/* SPDX-License-Identifier: MIT */
/* Functions that have a site and nothing else; check-sites.py looks at their instructions. */
#include "app_trace.h"

struct item {
	int a, b;
};

__attribute__((noipa)) static const char *name_of(const struct item *item)
{
	return item->a > item->b ? "more" : "less";
}

/* What it is given lies where the note says: nothing is to be done. */
__attribute__((noipa)) static void site_with_arguments(int id, const char *path)
{
	trace_app_request(id, path);
}

/* The product is where the note says, so it is there before the site. */
__attribute__((noipa)) static void site_with_computed_argument(const struct item *item)
{
	trace_app_request(item->a * item->b, "product");
}

__attribute__((noipa)) static void lazy_site(const struct item *item)
{
	trace_app_lazy(item->a * item->b, name_of(item));
}

int main(void)
{
	struct item item = { 6, 7 };

	site_with_arguments(1, "path");
	site_with_computed_argument(&item);
	lazy_site(&item);
	return 0;
}
