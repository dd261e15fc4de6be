/* rejects: clang-analyzer-core.NullDereference */
struct node {
    struct node *next;
    int value;
};

int second(struct node *list)
{
    if (list == 0)
        return list->value;
    return 0;
}
