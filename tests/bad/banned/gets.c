/* rejects: banned/gets.c:4 */
char *gets_line(char *to)
{
    extern char *gets(char *room);

    return gets(to);
}
