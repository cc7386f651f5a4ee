"""What the emulators are known to do otherwise than AWS. Each of the tests that are named must fail there: one that no longer
does shortens the list.

A test is named by its function, or by its function and the beginning of one case: `test_name[case`.
"""

from __future__ import annotations

Lacks = dict[str, tuple[str, ...]]
"""Why, and which tests."""

_REFUSED = "test_a_condition_that_is_not_well_written_is_refused"
_UPDATE = "test_an_update_that_cannot_be_is_refused"
_QUERY = "test_a_query_that_is_not_one_range_of_one_partition_is_refused"
_UNUSED = "test_a_placeholder_that_nothing_uses_is_refused"

MOTO: Lacks = {
    "an expression that is not well written raises in moto, and is no answer": (
        f"{_REFUSED}[one = :nowhere", f"{_REFUSED}[#nowhere", f"{_REFUSED}[one = :one AND", f"{_REFUSED}[one = :one one",
        f"{_REFUSED}[(one", f"{_REFUSED}[one :one", f"{_REFUSED}[AND", f"{_REFUSED}[one = = :one", f"{_REFUSED}[is_there",
        f"{_REFUSED}[attribute_exists(", f"{_REFUSED}[begins_with(one)", f"{_REFUSED}[size(one)",
        f"{_UPDATE}[SET num = :nowhere", f"{_UPDATE}[SET num = made_up", "test_a_name_that_is_not_defined_is_refused",
        "test_an_update_without_an_expression_makes_a_row_of_a_key", f"{_QUERY}[pk = :p OR", f"{_QUERY}[pk = :p AND contains",
        f"{_QUERY}[pk = :nowhere", f"{_QUERY}[pk = :p AND-", "test_a_query_begins_where_it_looks[half",
        "test_an_action_is_one_action",
    ),
    "operands that can never be right are taken": (
        f"{_REFUSED}[one < :yes", f"{_REFUSED}[begins_with(one, :one)", f"{_REFUSED}[attribute_type(one, :one)",
        f"{_REFUSED}[attribute_type(one, :X)", f"{_REFUSED}[one BETWEEN", f"{_REFUSED}[one = one",
    ),
    "values that no condition uses, and empty parameters, are taken": (
        f"{_UNUSED}[value", f"{_UNUSED}[only value", f"{_UNUSED}[no names", f"{_UNUSED}[no condition",
        f"{_QUERY}[pk = :p-given11",
    ),
    "it says in other words what is wrong": (
        f"{_UNUSED}[name without", f"{_UPDATE}[ADD num :v-given12", f"{_QUERY}[pk = :p AND sk <> :x",
        "test_what_is_no_value_is_refused[value7",
    ),
    "binaries are kept in base64, and their parts are not found": (
        "test_a_condition_holds[begins_with(bin", "test_a_condition_holds[contains(bin",
    ),
    "numbers are kept as they were written": (
        "test_a_number_is_kept_in_one_form",
        "test_an_update_changes_what_it_names_and_nothing_else[set num = :v add numbers :w",
    ),
    "any number is taken, and sums are rounded to 28 digits": (
        "test_what_is_no_such_number_is_refused[111", "test_what_is_no_such_number_is_refused[0.111",
        "test_what_is_no_such_number_is_refused[1000", "test_what_is_no_such_number_is_refused[1e126",
        "test_what_is_no_such_number_is_refused[-1e126", "test_what_is_no_such_number_is_refused[1_000",
        "test_a_sum_is_exact_or_refused",
    ),
    "values of no type, of two types and sets with duplicates are taken by some calls": (
        "test_what_is_no_value_is_refused[value0", "test_what_is_no_value_is_refused[value2",
        "test_what_is_no_value_is_refused[value3", "test_what_is_no_value_is_refused[value4",
        "test_what_is_no_value_is_refused[value5", "test_what_is_no_value_is_refused[value6",
    ),
    "items are measured otherwise: the limit lies higher": ("test_a_row_holds_400_kilobytes_and_not_one_more",),
    "keys are checked only by PutItem, or not at all": (
        "test_a_key_by_itself_is_no_longer_either", "test_a_key_is_whole_and_of_the_right_type[wrong type",
        "test_a_key_is_whole_and_of_the_right_type[empty", "test_a_query_begins_where_it_looks[other",
        "test_a_query_begins_where_it_looks[type", f"{_QUERY}[pk = :p-given10",
    ),
    "an update sets a member of what is no map, and adds to a text": (
        f"{_UPDATE}[SET txt.x", f"{_UPDATE}[SET num = txt + :v",
    ),
    "any condition on a key is taken": (
        f"{_QUERY}[pk = :p AND sk > :x AND sk < :y", f"{_QUERY}[pk = :p AND sk BETWEEN :y AND :x",
    ),
    "a page that ends with its limit and with the last row says that there is no more": (
        "test_a_page_that_ends_with_its_limit_says_where_though_there_is_no_more",
    ),
    "every call costs the same": (
        "test_an_answer_says_what_it_cost_if_it_is_asked", "test_a_query_says_what_it_cost",
        "test_a_transaction_says_what_it_cost",
    ),
    "batches of any length, and with a row twice, are written": (
        "test_a_batch_has_at_most_25_rows", "test_a_batch_has_no_row_twice",
    ),
    "expiry is switched on twice": ("test_a_table_tells_when_its_rows_expire",),
    "an update that cannot be made refuses the transaction instead of cancelling it": (
        "test_an_update_that_cannot_be_made_of_the_row_cancels",
    ),
    "a transaction may be of any length": ("test_a_transaction_has_at_most_four_megabytes",),
    "the values of a transaction's conditions are not checked": ("test_what_is_not_valid_in_one_action_refuses_all",),
    "ClientRequestToken is ignored": (
        "test_a_token_makes_a_transaction_happen_once", "test_a_token_is_of_one_transaction",
        "test_a_token_has_at_most_36_characters",
    ),
    "a transaction reads a row twice": ("test_rows_are_read_together",),
    "checksums are not verified, and not kept": (
        "test_a_checksum_is_verified", "test_what_is_no_checksum_is_refused", "test_a_checksum_is_told_when_it_is_asked_for",
    ),
    "any number of objects is deleted at once, and told though nobody wants to know": (
        "test_at_most_a_thousand_objects_are_deleted_at_once", "test_a_quiet_deletion_says_nothing",
    ),
    "parts are put into order, and any range is copied": (
        "test_parts_are_those_that_were_sent_in_their_order", "test_a_range_is_copied_from_inside_of_a_long_object",
    ),
    "a part of no upload raises in moto, and is no answer": ("test_an_upload_that_is_not_there_is_named",),
    "any visibility is changed, and messages may be empty": (
        "test_visibility_is_not_changed_of_what_was_given_back", "test_a_message_has_a_body",
    ),
    "subjects and messages may be almost anything": (
        "test_a_subject_is_a_short_line_of_ascii", "test_a_message_is_neither_empty_nor_long[empty",
    ),
    "periods begin anywhere, and values and requests of any size are taken": (
        "test_a_period_begins_at_a_whole_minute", "test_a_value_is_a_number_that_cloudwatch_holds[inf",
        "test_a_value_is_a_number_that_cloudwatch_holds[1e+120", "test_at_most_a_thousand_values_are_put_at_once",
        "test_at_most_1440_points_are_asked_for", "test_a_period_is_of_whole_minutes",
    ),
    "a key that is disabled signs": ("test_a_key_that_is_disabled_signs_nothing_until_it_is_enabled",),
    "a public key has no KeySpec": ("test_a_public_key_says_what_it_is_for_and_is_known_by_its_arn_too",),
    "without dimensions, all metrics of a name are added up": ("test_a_metric_with_dimensions_is_not_the_one_without",),
}  # fmt: skip

DYNAMODB_LOCAL: Lacks = {
    "an update that cannot be made refuses the transaction instead of cancelling it": (
        "test_an_update_that_cannot_be_made_of_the_row_cancels",
    ),
    "a transaction costs twice what AWS says it does": ("test_a_transaction_says_what_it_cost",),
}  # fmt: skip

LACKS: dict[str, Lacks] = {"moto": MOTO, "dynamodb-local": DYNAMODB_LOCAL}


def reason(store: str, test: str, case: str) -> str | None:
    """Why a store is known to fail a test, or a case of it; None when it must pass."""
    for why, tests in LACKS.get(store, {}).items():
        for named in tests:
            function, bracket, beginning = named.partition("[")
            if function == test and (not bracket or case.startswith(beginning)):
                return why
    return None
