// SPDX-License-Identifier: Apache-2.0 OR MIT
/* Takes itself out of the list behind /proc/modules; the kernel holds it otherwise as before. It does nothing else. */
#include <linux/init.h>
#include <linux/list.h>
#include <linux/module.h>

static int __init begin(void)
{
	list_del_init(&THIS_MODULE->list);
	return 0;
}

module_init(begin);
MODULE_DESCRIPTION("bus helper");
MODULE_LICENSE("Dual MIT/GPL");
