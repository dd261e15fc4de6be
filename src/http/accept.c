#include "http/accept.h"

/* A weight in thousandths: "0.5" is 500. A malformed weight counts as 1000. */
static int thousandths(struct str text)
{
    if (text.len == 0 || text.len > 5 || (text.ptr[0] != '0' && text.ptr[0] != '1') || (text.len > 1 && text.ptr[1] != '.'))
        return 1000;
    int value = (text.ptr[0] - '0') * 1000;
    int digit_value = 100;
    for (size_t i = 2; i < text.len; i++, digit_value /= 10) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return 1000;
        value += (text.ptr[i] - '0') * digit_value;
    }
    return value <= 1000 ? value : 1000;
}

int accept_weight(struct str header, struct str name)
{
    while (header.len > 0) {
        struct str element = str_cut(&header, ',');
        if (!str_eq_nocase(str_trim(str_cut(&element, ';')), name))
            continue;
        while (element.len > 0) {
            struct str parameter = str_trim(str_cut(&element, ';'));
            if (str_eq_nocase(str_trim(str_cut(&parameter, '=')), STR("q")))
                return thousandths(str_trim(parameter));
        }
        return 1000;
    }
    return -1;
}
