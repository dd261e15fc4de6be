/*
 * Reads where a worker can be reached. Agents send addresses, host names, URLs, and texts that are none of these.
 */
#ifndef MODEL_ADDRESS_H
#define MODEL_ADDRESS_H

#include "base/buffer.h"

#define ADDRESS_HOST_MAX 253  /* bytes of a host name */
#define ADDRESS_SCHEME_MAX 31 /* long enough for "chrome-extension" */

/* From where a host can be reached. */
enum reach {
    REACH_FAR,    /* from other machines, as far as the text shows */
    REACH_SELF,   /* only from the machine itself: loopback addresses, "localhost" */
    REACH_NOWHERE /* from nowhere: "0.0.0.0", multicast, link-local addresses */
};

/* A host[:port], or the parts of a URL, in their normal form: lower case, addresses as inet_ntop writes them, no default port. */
struct place {
    char scheme[ADDRESS_SCHEME_MAX + 1]; /* "": it is a host[:port] */
    char host[ADDRESS_HOST_MAX + 1];     /* without brackets */
    int port;                            /* 0: none, or the scheme's own */
    struct str rest;                     /* path and query, as they came; points into the text that was read */
    enum reach reach;
    bool had_user; /* the text had a user name or password, which was left out */
};

/*
 * Reads a URL. One without a scheme gets https when its host is a public name without a port of its own, else http. A slash at
 * its end is removed, and so is a fragment. Returns NULL, or what is wrong with `text` (static: "must be …"); *place is then
 * undefined.
 */
const char *place_read_url(struct str text, struct place *place);

/* Whether it is an http or https URL. */
bool place_is_web(const struct place *place);

/*
 * Reads what agents send as an IP address: an address or a host name, with a port or without, a URL, or several of these with
 * white space, commas, semicolons or quotes between them, as `hostname -I` prints them. Of several it takes the first one that
 * other machines can reach (the host's address in a network of Docker only if there is no other), else the first one. *others
 * becomes the number of the other ones. Returns NULL, or what is wrong.
 */
const char *place_read_address(struct str text, struct place *place, size_t *others);

/* Appends it in the stored form: the URL, or the host alone (its port is stored elsewhere). */
void place_write(struct buffer *out, const struct place *place);

/* Appends "http://host:port/rest"; `port` 0: none. */
void place_write_url(struct buffer *out, const char *scheme, struct str host, int port, struct str rest);

/* Return the port that a JSON number or a text stands for: 1 to 65535; 0 if it is no port. */
int port_of_number(double number);
int port_of_text(struct str text);

#endif
