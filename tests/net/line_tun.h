/* SPDX-License-Identifier: Apache-2.0 */
/* line_tun.h - a TUN device in a network namespace, for line.c */
#ifndef LINE_TUN_H
#define LINE_TUN_H

#define LINE_MTU 1500

/*
 * Create the TUN device `device` in `space`, the name of a namespace in /run/netns or the path of
 * one, put it up, and give it the IPv4 `address` (CIDR) when that is not NULL. The calling thread
 * is back in its own namespace afterwards. Returns a non-blocking descriptor, one IP packet for
 * each read and write; the device goes with it. -1 after a message on standard error.
 */
int line_tun_open(const char *space, const char *device, const char *address);

#endif
