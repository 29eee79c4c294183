"""The schemas document themselves and survive a file."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.tables.schema import COSTS, HISTORY, MEMBERS, SCHEMAS, THRESHOLDS, VERSIONS
from ouvae.declared import METRICS, TEST_METRICS, Cell, keys_of

UNITS = {"nats", "steps", "s", "bytes", "layers", "1", "none"}

TYPES = {
    "members": """
        string: member_id space cell_id cell control data_digest code_digest dataset system objective
            architecture likelihood smoothing start select precision device status failure pack_id
            project_version torch_version python_version processor cpu_features library_versions commit
        list<element: double>: data_variance kl_nats test_kl_nats
        int32: importance_samples pseudo_inputs hermite_degree mixture_components ou_samples batch_size
            eval_images gradient_samples bound_samples bound_images depth pixels pack_members
            numerics_version train_images validation_images test_images
        double: free_bits_nats observation_variance learning_rate gradient_rho rho value critical_exact
            kl_top_nats elbo_nats reconstruction_nats objective_nats gradient_variance
            gradient_variance_smoothed test_bound_nats test_kl_top_nats test_elbo_nats
            test_reconstruction_nats seconds
        list<element: int32>: hidden latents active_units test_active_units
        list<element: string>: smoothed_networks
        int64: steps kl_warmup eval_every seed diverged_at_step selected_step parameters
        timestamp[ms, tz=UTC]: finished_at""",
    "history": """
        string: member_id cell_id
        double: value kl_top_nats elbo_nats reconstruction_nats objective_nats gradient_variance
            gradient_variance_smoothed
        int64: seed step
        list<element: double>: kl_nats
        list<element: int32>: active_units""",
    "thresholds": """
        string: space cell_id cell dataset system objective architecture likelihood smoothing start select
            precision control scale collapsed_side status method order_parameter rule
        list<element: double>: data_variance
        int32: importance_samples pseudo_inputs hermite_degree mixture_components ou_samples batch_size
            eval_images gradient_samples bound_samples bound_images depth n_seeds n_resolved n_members
            n_diverged n_failed
        double: free_bits_nats observation_variance learning_rate gradient_rho active_from critical_value
            critical_low critical_high half_width half_width_asked spread_left spread_left_low
            spread_left_high spread_right spread_right_low spread_right_high g_c g_c_low g_c_high confidence
            jump critical_exact
        list<element: int32>: hidden latents
        list<element: string>: smoothed_networks
        int64: steps kl_warmup eval_every
        list<element: struct<seed: int64 not null, status: string not null, n_members: int32 not null, \
critical_value: double, low: double, high: double, jump: double>>: seeds""",
    "comparisons": """
        string: space control scale order_parameter differs_in first_cell_id first_cell second_cell_id
            second_cell verdict
        double: difference difference_low difference_high p_different p_alike confidence margin""",
    "costs": """
        string: cell_id cell control dataset system objective architecture likelihood smoothing start select
            precision memory_kind device
        list<element: double>: data_variance seconds_per_epoch
        int32: importance_samples pseudo_inputs hermite_degree mixture_components ou_samples batch_size
            eval_images gradient_samples bound_samples bound_images depth
        double: free_bits_nats observation_variance learning_rate gradient_rho rho value
        list<element: int32>: hidden latents
        list<element: string>: smoothed_networks
        int64: steps kl_warmup eval_every parameters memory_bytes""",
    "sheets": """
        string: member_id cell_id
        double: value unit_kl_nats
        int64: seed
        int32: unit
        list<element: int32>: image_shape
        binary: images reconstructions samples traversal""",
}
"""The columns by type. More may come; one that goes or changes asks for another version of its schema."""


def fields(schema: pa.Schema) -> Iterator[pa.Field]:
    """All fields of a schema, those of nested structs included."""
    for field in schema:
        yield field
        if pa.types.is_list(field.type) and pa.types.is_struct(field.type.value_type):
            yield from field.type.value_type


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_every_field_has_a_unit_and_a_description_that_says_something(schema):
    for field in fields(schema):
        assert field.metadata[b"unit"].decode() in UNITS, field.name
        description = field.metadata[b"description"].decode()
        assert len(description.split()) >= 4, field.name
        assert description.lower() != field.name.replace("_", " "), field.name
    descriptions = [field.metadata[b"description"] for field in schema]
    assert len(set(descriptions)) == len(descriptions)


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_units_follow_from_names_and_nullable_fields_say_when_they_are_null(schema):
    for field in fields(schema):
        unit = field.metadata[b"unit"].decode()
        assert (unit == "nats") == ("_nats" in field.name), field.name
        assert (unit == "s") == field.name.startswith("seconds"), field.name
        assert field.nullable == (b"null" in field.metadata[b"description"]), field.name


def test_every_metric_and_what_only_a_worker_knows_is_null_for_a_failed_member():
    metrics = {metric.name for metric in (*METRICS, *TEST_METRICS)}
    of_worker = {"parameters", "torch_version", "python_version"}
    of_worker |= {"processor", "cpu_features", "library_versions"}
    said = {field.name: field.metadata[b"description"].decode() for field in MEMBERS if field.nullable}
    assert {name for name in said if said[name].endswith("a member that diverged or failed")} == metrics
    assert {name for name in said if said[name].endswith("null for a member that failed")} == of_worker
    assert said["failure"].endswith("null unless the status is `failed`")
    assert said["diverged_at_step"].endswith("null unless the status is `diverged`")


def test_every_key_of_a_cell_is_a_column_of_members_thresholds_and_costs():
    for schema in (MEMBERS, THRESHOLDS, COSTS):
        assert set(keys_of(Cell)) <= set(schema.names)


@pytest.mark.parametrize("name", SCHEMAS)
def test_version_and_documentation_are_in_the_file(name, tmp_path):
    schema = SCHEMAS[name]
    pq.write_table(schema.empty_table(), tmp_path / "empty.parquet")
    stored = pq.read_schema(tmp_path / "empty.parquet")
    assert stored.metadata[b"schema_version"].decode() == VERSIONS[name]
    assert stored.metadata[b"table"].decode() == name
    assert stored.equals(schema, check_metadata=True)
    for read, meant in zip(fields(stored), fields(schema), strict=True):
        assert read.metadata[b"description"] == meant.metadata[b"description"]


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_types_of_this_version_are_fixed(name):
    words = {}
    for line in TYPES[name].replace("\n            ", " ").strip().splitlines():
        dtype, columns = line.strip().rsplit(": ", 1)
        words |= dict.fromkeys(columns.split(), dtype)
    assert words.items() <= {field.name: str(field.type) for field in SCHEMAS[name]}.items()


def test_columns_that_tables_share_have_one_type_and_unit():
    for one, other in ((MEMBERS, HISTORY), (MEMBERS, THRESHOLDS), (MEMBERS, COSTS)):
        shared = set(one.names) & set(other.names) - {"status"}
        assert {"cell_id"} < shared
        for name in shared:
            assert one.field(name).type == other.field(name).type, name
            assert one.field(name).metadata[b"unit"] == other.field(name).metadata[b"unit"], name
