/* A library that has nothing to do with libdet. */
int tests_loaded_nothing(void);

int tests_loaded_nothing(void)
{
    return 0;
}
