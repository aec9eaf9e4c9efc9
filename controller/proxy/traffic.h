/* SPDX-License-Identifier: Apache-2.0 */
/*
 * traffic.h - what a client wants of the machine's traffic (configureRouting), made so and kept so:
 * routes and rules (linux/routing.h), nf_tables (linux/firewall.h), and what is said about ways out
 * beside the device (linux/survey.h).
 */
#ifndef PROXY_TRAFFIC_H
#define PROXY_TRAFFIC_H

#include <jansson.h>
#include <stdbool.h>

#include "controller/proxy/linux/firewall.h"
#include "controller/proxy/linux/plan.h"

struct controller;

enum {
    TRAFFIC_MAX_PROXIES = 16,
    TRAFFIC_MAX_RELAYS = WISH_MAX_ASIDE - TRAFFIC_MAX_PROXIES,
    TRAFFIC_DNS_SIZE = 300, /* a name with a port */
};

/* As the client gave it. */
struct traffic_settings {
    struct udptun_endpoint proxies[TRAFFIC_MAX_PROXIES];
    size_t proxy_count;
    bool strict;
    bool allow_lan;
    bool persist;               /* the first start after a crash keeps all this */
    char dns[TRAFFIC_DNS_SIZE]; /* "HOST:PORT"; "": the machine's DNS is as it is */
};

struct traffic {
    struct controller *controller;
    const char *path; /* of the file that outlives a crash */
    bool routed;
    struct traffic_settings settings; /* while routed */
    /* Relays that the proxy has named for datagrams: they stay outside as the proxy does. */
    struct udptun_endpoint relays[TRAFFIC_MAX_RELAYS];
    size_t relay_count;
    struct firewall firewall;
    int firewall_rc; /* 0, or the -errno of the attempt to set the firewall up */
    struct survey survey;
    struct plan last; /* what the routing was made to be */
    json_t *warned;   /* the warnings that were logged last; NULL: none */
};

/* What a crash has left goes; or stays, if the client wished so. `path` as in the struct. */
int traffic_open(struct traffic *t, struct controller *c, const char *path,
                 struct udptun_error *err);
void traffic_close(struct traffic *t);

/* Make it so, or leave everything as it was. */
int traffic_route(struct traffic *t, const struct traffic_settings *settings,
                  struct udptun_error *err);
int traffic_unroute(struct traffic *t, struct udptun_error *err);
/* Put right what somebody has changed. */
void traffic_keep(struct traffic *t);
/* The addresses of relays now. */
void traffic_set_relays(struct traffic *t, const struct udptun_endpoint *relays, size_t count);

/* The DNS server of the routing, "HOST:PORT"; "": none. */
const char *traffic_dns(const struct traffic *t);

/* The proxy can be reached; else `why` it cannot. */
bool traffic_has_way(struct traffic *t, char *why, size_t size);

/* A list of sentences, or NULL: there is nothing to warn of. The caller's. */
json_t *traffic_warnings(struct traffic *t);

#endif
