//! The names that OpenCLIP's code gives the weights of a text encoder, against those of transformers.
//!
//! `src/open_clip/transformer.py`: Stable Diffusion 2 and XL in one file have their text encoders so. The projections of an
//! attention lie one below the other in one matrix, and the projection of the pooled state is turned.

use super::header::TensorInfo;
use super::origin::Origin;

/// The layers of a block, by their names in transformers and in OpenCLIP.
const BLOCK: [(&str, &str); 5] = [
    ("self_attn.out_proj", "attn.out_proj"),
    ("layer_norm1", "ln_1"),
    ("layer_norm2", "ln_2"),
    ("mlp.fc1", "mlp.c_fc"),
    ("mlp.fc2", "mlp.c_proj"),
];

/// The weights outside the blocks.
const OUTSIDE: [(&str, &str); 4] = [
    (
        "text_model.embeddings.token_embedding.weight",
        "token_embedding.weight",
    ),
    (
        "text_model.embeddings.position_embedding.weight",
        "positional_embedding",
    ),
    ("text_model.final_layer_norm.weight", "ln_final.weight"),
    ("text_model.final_layer_norm.bias", "ln_final.bias"),
];

/// The projection of the pooled state, in OpenCLIP and in transformers.
pub(super) const PROJECTION: [&str; 2] = ["text_projection", "text_projection.weight"];

const BLOCKS: &str = "transformer.resblocks.";

/// The projections of an attention, in the order in which they lie in one matrix.
const PARTS: [&str; 3] = ["q_proj", "k_proj", "v_proj"];

/// The number of the block that a weight of OpenCLIP's is of.
pub(super) fn block(name: &str) -> Option<usize> {
    let (number, _) = name.strip_prefix(BLOCKS)?.split_once('.')?;
    number.parse().ok()
}

/// The weights that a tensor of OpenCLIP's is in transformers: none if it is not known, three if it is the projections of an
/// attention.
pub(super) fn to_transformers(name: &str, info: &TensorInfo) -> Vec<(String, TensorInfo)> {
    if let Some((known, _)) = OUTSIDE.iter().find(|(_, theirs)| *theirs == name) {
        return vec![((*known).to_owned(), info.clone())];
    }
    if let (true, [rows, columns]) = (name == PROJECTION[0], info.shape.as_slice()) {
        let turned = TensorInfo {
            shape: vec![*columns, *rows],
            is_turned: true,
            ..info.clone()
        };
        return vec![(PROJECTION[1].to_owned(), turned)];
    }
    let Some((number, layer)) = (name.strip_prefix(BLOCKS)).and_then(|rest| rest.split_once('.'))
    else {
        return Vec::new();
    };
    let prefix = format!("text_model.encoder.layers.{number}.");
    if let Some(end) = layer.strip_prefix("attn.in_proj_") {
        return thirds(&format!("{prefix}self_attn."), end, info);
    }
    let renamed = BLOCK.iter().find_map(|(ours, theirs)| {
        let end = layer.strip_prefix(theirs)?;
        end.starts_with('.')
            .then(|| (format!("{prefix}{ours}{end}"), info.clone()))
    });
    renamed.into_iter().collect()
}

/// The three projections of an attention that lie one below the other.
fn thirds(prefix: &str, end: &str, info: &TensorInfo) -> Vec<(String, TensorInfo)> {
    let Some((rows, columns)) = info.shape.split_first() else {
        return Vec::new();
    };
    if !rows.is_multiple_of(3) || !info.bytes.is_multiple_of(3) {
        return Vec::new();
    }
    let bytes = info.bytes / 3;
    let third = |(name, index): (&str, u64)| {
        let own = TensorInfo {
            shape: std::iter::once(rows / 3)
                .chain(columns.iter().copied())
                .collect(),
            offset: info.offset + index * bytes,
            bytes,
            ..info.clone()
        };
        (format!("{prefix}{name}.{end}"), own)
    };
    PARTS.into_iter().zip(0..).map(third).collect()
}

/// OpenCLIP's name of a weight, with its shape there and what it is made of; no name for one that is written with another, and
/// nothing at all for one that OpenCLIP does not know. Names are without `text_model.`.
#[expect(clippy::option_option, reason = "the two are told apart above")]
pub(super) fn of_transformers<'a>(
    name: &str,
    shape: &impl Fn(&str) -> Option<&'a [usize]>,
) -> Option<Option<(String, Vec<usize>, Origin)>> {
    let own = shape(name)?.to_vec();
    let same = |written: String| {
        let origin = Origin::Same(name.to_owned());
        Some(Some((written, own.clone(), origin)))
    };
    let whole = format!("text_model.{name}");
    if let Some((_, theirs)) = OUTSIDE.iter().find(|(ours, _)| *ours == whole) {
        return same((*theirs).to_owned());
    }
    if let (true, [rows, columns]) = (name == PROJECTION[1], own.as_slice()) {
        let origin = Origin::Turned(name.to_owned(), *rows);
        return Some(Some((
            PROJECTION[0].to_owned(),
            vec![*columns, *rows],
            origin,
        )));
    }
    let (number, layer) = name.strip_prefix("encoder.layers.")?.split_once('.')?;
    let prefix = format!("{BLOCKS}{number}.");
    if let Some((part, end)) =
        (layer.strip_prefix("self_attn.")).and_then(|rest| rest.split_once('.'))
        && PARTS.contains(&part)
    {
        if part != PARTS[0] {
            return Some(None);
        }
        let parts = PARTS.map(|part| format!("encoder.layers.{number}.self_attn.{part}.{end}"));
        let rows = parts.iter().map(|part| shape(part)?.first().copied());
        let rows: usize = rows.sum::<Option<usize>>()?;
        let joined = std::iter::once(rows).chain(own[1..].iter().copied());
        let written = format!("{prefix}attn.in_proj_{end}");
        return Some(Some((
            written,
            joined.collect(),
            Origin::Joined(parts.into()),
        )));
    }
    let (ours, theirs) = BLOCK.iter().find(|(ours, _)| {
        layer
            .strip_prefix(ours)
            .is_some_and(|end| end.starts_with('.'))
    })?;
    same(format!("{prefix}{theirs}{}", &layer[ours.len()..]))
}

#[cfg(test)]
mod tests {
    use safetensors::Dtype;

    use super::super::header::Format;
    use super::*;

    fn info(shape: &[usize]) -> TensorInfo {
        TensorInfo {
            format: Format::Plain(Dtype::F16),
            shape: shape.to_vec(),
            offset: 100,
            bytes: 2 * shape.iter().product::<usize>() as u64,
            is_turned: false,
        }
    }

    #[test]
    fn the_projections_of_an_attention_are_taken_apart() {
        let name = "transformer.resblocks.7.attn.in_proj_weight";
        let parts = to_transformers(name, &info(&[12, 4]));
        let found: Vec<_> = parts
            .iter()
            .map(|(name, info)| (name.as_str(), info.shape.clone(), info.offset, info.bytes))
            .collect();
        let layer = "text_model.encoder.layers.7.self_attn";
        let names = ["q_proj", "k_proj", "v_proj"].map(|part| format!("{layer}.{part}.weight"));
        assert_eq!(
            found,
            [
                (names[0].as_str(), vec![4, 4], 100, 32),
                (names[1].as_str(), vec![4, 4], 132, 32),
                (names[2].as_str(), vec![4, 4], 164, 32),
            ]
        );
        assert_eq!(block(name), Some(7));
        // Not three of anything.
        assert!(to_transformers(name, &info(&[10, 4])).is_empty());
    }

    #[test]
    fn what_is_no_weight_is_none() {
        for name in [
            "logit_scale",
            "attn_mask",
            "transformer.resblocks.0.ls_1.gamma",
            "",
        ] {
            assert!(to_transformers(name, &info(&[3])).is_empty(), "{name}");
        }
    }

    #[test]
    fn the_pooled_states_projection_is_turned() {
        let parts = to_transformers("text_projection", &info(&[4, 6]));
        assert_eq!(parts[0].0, "text_projection.weight");
        assert_eq!(parts[0].1.shape, [6, 4]);
        assert!(parts[0].1.is_turned);
    }
}
