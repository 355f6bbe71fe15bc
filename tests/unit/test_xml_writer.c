/* base/xml_writer: whatever is written is well-formed, and another parser finds what was meant. */
#include "support/parsed.h"
#include "support/xml_writer.h"

static void elements_and_attributes(void **state)
{
    (void)state;
    struct test_env t;
    struct det_text text = {0};
    struct det_xml_writer xml;
    test_env_init(&t);
    det_xml_begin(&xml, &t.env, &text);
    det_xml_made(&xml, "<?xml version=\"1.0\"?>");
    det_xml_line(&xml, 0);
    det_xml_open(&xml, "a");
    det_xml_attribute(&xml, "name", "1 < 2 & \"3\"");
    det_xml_attribute_int(&xml, "n", -7);
    det_xml_attribute_printf(&xml, "d", "M%d %dH%s", 1, 2, "<");
    det_xml_line(&xml, 2);
    det_xml_element(&xml, "b", "x]]>y");
    det_xml_open(&xml, "c");
    det_xml_close_empty(&xml);
    det_xml_open(&xml, "i");
    det_xml_close(&xml);
    det_xml_text_printf(&xml, "%d%%", 5);
    det_xml_text_shown(&xml, "\x1b\xe9");
    det_xml_close(&xml);
    assert_ok(&t.env, det_xml_end(&xml));
    assert_string_equal(text.data,
                        "<?xml version=\"1.0\"?>\n<a name=\"1 &lt; 2 &amp; &quot;3&quot;\" "
                        "n=\"-7\" d=\"M1 2H&lt;\">\n  <b>x]]&gt;y</b><c/><i></i>5%"
                        "\\x1b\\xe9</a>");
    char *values = NULL;
    if (parsed_xml(text.data, "elements", &values))
        assert_string_equal(values, "1 < 2 & \"3\"\n-7\nM1 2H<\nx]]>y\n\n\n5%\\x1b\\xe9\n");
    free(values);
    det_text_free(&t.env, &text);
    test_env_check(&t);
}

/* Each pair of bytes, in each place that text may have. */
static void any_text_is_well_formed(void **state)
{
    (void)state;
    struct test_env t;
    struct det_text text = {0};
    struct det_xml_writer xml;
    test_env_init(&t);
    det_xml_begin(&xml, &t.env, &text);
    det_xml_open(&xml, "all");
    for (int first = 1; first < 256; first++)
        for (int second = 0; second < 256; second += first % 7 + 1) {
            const char name[] = {(char)first, (char)second, '\xbf', '\0'};
            det_xml_open(&xml, "e");
            det_xml_attribute(&xml, "a", name);
            det_xml_attribute_shown(&xml, "b", name);
            det_xml_attribute_printf(&xml, "c", "%s%s", name, name);
            det_xml_text(&xml, name);
            det_xml_text_shown(&xml, name);
            det_xml_close(&xml);
        }
    det_xml_close(&xml);
    assert_ok(&t.env, det_xml_end(&xml));
    char *values = NULL;
    parsed_xml(text.data, "pairs of bytes", &values);
    free(values);
    det_text_free(&t.env, &text);
    test_env_check(&t);
}

static void mistakes_of_the_caller_are_told(void **state)
{
    (void)state;
    struct test_env t;
    struct det_text text = {0};
    struct det_xml_writer xml;
    test_env_init(&t);
    det_xml_begin(&xml, &t.env, &text);
    det_xml_open(&xml, "a");
    assert_fails(&t.env, DET_STATUS_INTERNAL, "not closed", det_xml_end(&xml));
    det_xml_begin(&xml, &t.env, &text);
    det_xml_close(&xml);
    assert_fails(&t.env, DET_STATUS_INTERNAL, "nothing to close", det_xml_end(&xml));
    det_xml_begin(&xml, &t.env, &text);
    det_xml_open(&xml, "a");
    det_xml_text(&xml, "");
    det_xml_attribute(&xml, "late", "");
    det_xml_close(&xml);
    assert_fails(&t.env, DET_STATUS_INTERNAL, "behind its tag", det_xml_end(&xml));
    det_xml_begin(&xml, &t.env, &text);
    for (int i = 0; i <= DET_XML_MOST_DEPTH; i++)
        det_xml_open(&xml, "deep");
    assert_fails(&t.env, DET_STATUS_INTERNAL, "too many elements", det_xml_end(&xml));
    det_text_free(&t.env, &text);
    test_env_check(&t);
}

static det_status write_some(struct det_env *env, void *argument)
{
    (void)argument;
    struct det_text text = {0};
    struct det_xml_writer xml;
    det_xml_begin(&xml, env, &text);
    det_xml_open(&xml, "all");
    for (int i = 0; i < 20; i++) {
        det_xml_open(&xml, "e");
        det_xml_attribute_printf(&xml, "n", "%d", i);
        det_xml_text_shown(&xml, "text that needs room");
        det_xml_close(&xml);
    }
    det_xml_close(&xml);
    const det_status status = det_xml_end(&xml);
    det_text_free(env, &text);
    return status;
}

static void a_failure_is_kept(void **state)
{
    (void)state;
    test_each_allocation_fails(write_some, NULL);
}

int test_xml_writer(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_and_attributes),
        cmocka_unit_test(any_text_is_well_formed),
        cmocka_unit_test(mistakes_of_the_caller_are_told),
        cmocka_unit_test(a_failure_is_kept),
    };
    return cmocka_run_group_tests_name("xml_writer", tests, NULL, NULL);
}
