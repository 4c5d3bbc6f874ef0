//! The words that the rules know.

/// Verbs of orders that are hardly ever anything else.
pub(super) const SURE_VERBS: &[&str] = &[
    "add",
    "apply",
    "brighten",
    "convert",
    "darken",
    "decrease",
    "delete",
    "enlarge",
    "erase",
    "exchange",
    "include",
    "increase",
    "insert",
    "make",
    "pixelate",
    "put",
    "recolor",
    "recolour",
    "reduce",
    "remove",
    "repaint",
    "replace",
    "sharpen",
    "shrink",
    "soften",
    "substitute",
    "transform",
];

/// Verbs that are nouns or adjectives as well: an order only where something follows that begins an object.
pub(super) const UNSURE_VERBS: &[&str] = &[
    "blow", "blur", "bring", "carry", "change", "clear", "color", "colour", "cover", "create",
    "crop", "cut", "double", "drag", "draw", "dress", "drop", "dye", "fill", "flip", "get", "give",
    "grow", "halve", "have", "hide", "let", "light", "lower", "move", "open", "paint", "place",
    "pull", "push", "raise", "render", "restore", "rotate", "scale", "send", "set", "shift",
    "show", "sketch", "slide", "swap", "switch", "take", "tint", "tone", "trade", "transfer",
    "turn", "wipe", "zoom",
];

/// What begins an object.
pub(super) const ARTICLES: &[&str] = &[
    "a",
    "all",
    "an",
    "another",
    "any",
    "both",
    "each",
    "every",
    "everybody",
    "everyone",
    "everything",
    "five",
    "four",
    "more",
    "my",
    "one",
    "our",
    "some",
    "that",
    "the",
    "these",
    "this",
    "those",
    "three",
    "two",
    "your",
];

/// What stands for something that was named before.
pub(super) const REFERENCES: &[&str] = &[
    "he",
    "her",
    "hers",
    "herself",
    "him",
    "himself",
    "his",
    "it",
    "its",
    "itself",
    "she",
    "their",
    "theirs",
    "them",
    "themselves",
    "they",
];

/// What makes another verb of a verb: "make up", "put on".
pub(super) const PARTICLES: &[&str] = &["around", "down", "off", "on", "out", "over", "up"];

/// What a sentence may begin with before its order.
pub(super) const ASKING: &[&str] = &[
    "can", "could", "first", "i", "just", "kindly", "like", "now", "please", "to", "want", "would",
    "you", "d",
];

/// What begins a clause of its own.
pub(super) const RELATIVES: &[&str] = &[
    "because", "if", "so", "that", "until", "when", "where", "which", "while", "who", "whom",
    "whose",
];

/// What somebody does in a picture.
pub(super) const ACTIONS: &[&str] = &[
    "blink", "bow", "catch", "climb", "cook", "cry", "dance", "drink", "drive", "eat", "fight",
    "fly", "frown", "hold", "hug", "jump", "kick", "kiss", "kneel", "laugh", "lean", "lie", "play",
    "point", "read", "ride", "run", "scream", "shout", "sing", "sit", "sleep", "smile", "smoke",
    "stand", "swim", "throw", "walk", "wave", "wear", "wink", "write", "yawn",
];

/// Verbs after which the thing that they name is gone.
pub(super) const REMOVALS: &[&str] = &["delete", "erase", "remove"];

/// What can only be said of a picture: weather, seasons, light and styles.
pub(super) const PICTURE: &[&str] = &[
    "anime",
    "autumn",
    "autumnal",
    "cartoon",
    "cloudy",
    "comic",
    "dawn",
    "daytime",
    "drawing",
    "dusk",
    "evening",
    "fog",
    "foggy",
    "image",
    "midnight",
    "mist",
    "misty",
    "monochrome",
    "morning",
    "mosaic",
    "night",
    "nighttime",
    "noon",
    "overcast",
    "painting",
    "photo",
    "photograph",
    "picture",
    "rain",
    "raining",
    "rainy",
    "scene",
    "sepia",
    "sketch",
    "snow",
    "snowing",
    "snowy",
    "spring",
    "stormy",
    "summer",
    "sunny",
    "sunrise",
    "sunset",
    "twilight",
    "watercolor",
    "watercolour",
    "winter",
    "wintry",
];

/// Objects that are the picture or all of it.
pub(super) const WHOLE: &[&str] = &[
    "everything",
    "image",
    "photo",
    "photograph",
    "picture",
    "scene",
    "season",
    "style",
    "weather",
    "whole",
];
