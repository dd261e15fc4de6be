/* rejects: banned/alloca.c:4 */
char *room(unsigned long size)
{
    return __builtin_alloca(size);
}
