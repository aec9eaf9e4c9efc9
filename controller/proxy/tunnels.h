/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tunnels.h - what udptund was told to run through us, so that it can be told again.
 *
 * udptund keeps no descriptor, and no ephemeral object: after its restart the tun2socks instance on
 * our device is disabled (`keepDisabled`) until the descriptor is handed over again. When the
 * connection to it comes back, what is missing there is set up again, each tunnel for itself
 * (tunnels_restore.c); what is there is left as it is, for others may have changed it.
 *
 * The device has one reader: at most one instance at a time is on it (configure.h). Its descriptor
 * stays open here meanwhile, so that packets wait rather than fail while udptund restarts.
 */
#ifndef PROXY_TUNNELS_H
#define PROXY_TUNNELS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <udptun/client.h>

#include "daemon/platform/loop.h"
#include "proto/list.h"

struct controller;

struct kept_tunnel {
    struct list node;
    json_t *object;                      /* without tun2socks, merge and wait */
    json_t *tun2socks;                   /* its instance, or NULL */
    bool on_device;                      /* that is on our device */
    bool object_due, tun2socks_due;      /* the restoration under way has yet to set it up */
    bool told;                           /* that it cannot be set up again, since it last could */
    char state[16], tun2socks_state[16]; /* as udptund says; "": not known */
};

struct tunnels {
    struct controller *controller;
    struct list list;
    struct timer retry;
    bool missing;    /* what is on the device: udptund is gone, or what it has is not known yet */
    bool new_device; /* the instance on the device has lost it */

    /* Of tunnels_state.c. */
    bool looking, look_again; /* udptund is asked for the state of everything */
    struct timer look;        /* while the instance on the device has a proxy for datagrams */

    /* Of tunnels_restore.c. */
    bool restoring;         /* a round is under way */
    bool again;             /* another has been asked for meanwhile */
    bool failed, succeeded; /* some did in this round */
    bool told;              /* that udptund does not answer, since it last did */
    struct kept_tunnel
        *under_way;        /* which udptund is asked for; NULL: none, or it was forgotten since */
    bool device_under_way; /* with the device's descriptor */
};

void tunnels_init(struct tunnels *t, struct controller *c);
void tunnels_fini(struct tunnels *t);

/* The one of that name, or NULL. */
struct kept_tunnel *tunnels_find(struct tunnels *t, const char *name);
/* The one whose instance is on the device, or NULL. */
struct kept_tunnel *tunnels_on_device(struct tunnels *t);
/* It is as told now; references are taken over, `tun2socks` may be NULL: none, or that which there
 * is stays. */
void tunnels_remember(struct tunnels *t, json_t *object, json_t *tun2socks, bool on_device);
void tunnels_forget(struct tunnels *t, const char *name);

/* Whether traffic that goes into the device is taken by udptund, as far as we had it do so; else
 * `why` it is not. */
bool tunnels_in_place(const struct tunnels *t, char *why, size_t size);

/* The connection to udptund is lost. */
void tunnels_lost(struct tunnels *t);
/* What is on the device is at udptund as it should be. */
void tunnels_device_in_place(struct tunnels *t);
void tunnels_restore_init(struct tunnels *t);
/* It is there again, or may have lost something: look what, and set it up until all is there. */
void tunnels_restore(struct tunnels *t);
/* The device was made again. */
void tunnels_device_is_new(struct tunnels *t);

/* The MTU that an instance asks for, 0: none. */
uint32_t tunnels_mtu(const json_t *tun2socks);
/* `tun2socks` (NULL: none) as it is to be at udptund: with the DNS server of the routing ("": none)
 * if it is on the device. A new reference. */
json_t *tunnels_effective(json_t *tun2socks, bool on_device, const char *dns);
/* Tell udptund the DNS server of the instance on the device; "": the instance's own, if it has one.
 * `done` (NULL: a failure is logged) as in udptund_call(). */
void tunnels_set_dns(struct tunnels *t, const char *dns, udptun_client_reply_fn done, void *arg);
/* {"config":{"udpTunnels":[tunnel],"tun2socks":[tun2socks]}} for applyConfig; either may be NULL.
 */
json_t *tunnels_config(json_t *tunnel, json_t *tun2socks);

#endif
