//! The ways of asking. Those held out use no word that training lacks: what is new in them is how the words are put together.

use super::Templates;
use crate::Phrasing;
use crate::scene::edit::{Change, Edit};

pub(super) fn of(edit: &Edit, phrasing: Phrasing) -> &'static Templates {
    let [training, held_out] = match *edit {
        Edit::Add { .. } => &ADD,
        Edit::Remove { .. } => &REMOVE,
        Edit::Recolour { .. } => &RECOLOUR,
        Edit::Resize {
            change: Change::Bigger,
            ..
        } => &BIGGER,
        Edit::Resize {
            change: Change::Smaller,
            ..
        } => &SMALLER,
        Edit::Move { .. } => &MOVE,
        Edit::Replace { .. } => &REPLACE,
    };
    if phrasing == Phrasing::Training {
        training
    } else {
        held_out
    }
}

const ADD: [Templates; 2] = [
    Templates {
        orders: &[
            "add {n} {at}",
            "put {n} {at}",
            "place {n} {at}",
            "draw {n} {at}",
            "insert {n} {at}",
            "paint {n} {at}",
            "create {n} {at}",
            "include {n} {at}",
            "show {n} {at}",
            "set {n} {at}",
            "make {n} appear {at}",
            "give the picture {n} {at}",
            "add to the picture {n} {at}",
            "put in {n} {at}",
            "let {n} appear {at}",
        ],
        wishes: &[
            "there should be {n} {at}",
            "i want {n} {at}",
            "i would like {n} {at}",
            "there is {n} {at}",
            "the picture should have {n} {at}",
        ],
    },
    Templates {
        orders: &[
            "{at}, add {n}",
            "include {n} in the picture {at}",
            "draw {n} in the picture {at}",
            "have {n} appear {at}",
        ],
        wishes: &[
            "{at}, there should be {n}",
            "i want the picture to have {n} {at}",
            "i would like to have {n} {at}",
        ],
    },
];

const REMOVE: [Templates; 2] = [
    Templates {
        orders: &[
            "remove {o}",
            "delete {o}",
            "erase {o}",
            "get rid of {o}",
            "take away {o}",
            "take {o} away",
            "remove {o} from the picture",
            "make {o} disappear",
            "make {o} vanish",
            "take out {o}",
            "clear away {o}",
            "hide {o}",
            "cut out {o}",
            "wipe out {o}",
            "drop {o}",
            "take {o} out",
            "let {o} disappear",
        ],
        wishes: &[
            "the picture without {o}",
            "{o} should be gone",
            "i do not want {o}",
            "{o} is gone",
            "i want {o} removed",
        ],
    },
    Templates {
        orders: &[
            "take {o} out of the picture",
            "delete {o} from the picture",
            "erase {o} from the picture",
            "have {o} removed",
            "let {o} vanish",
        ],
        wishes: &[
            "{o} should disappear",
            "i want {o} gone",
            "i would like the picture without {o}",
        ],
    },
];

const RECOLOUR: [Templates; 2] = [
    Templates {
        orders: &[
            "make {o} {c}",
            "turn {o} {c}",
            "paint {o} {c}",
            "{hue} {o} {c}",
            "change {o} to {c}",
            "re{hue} {o} to {c}",
            "re{hue} {o} in {c}",
            "change the {hue} of {o} to {c}",
            "dye {o} {c}",
            "give {o} a {c} {hue}",
            "paint {o} in {c}",
            "set the {hue} of {o} to {c}",
            "switch {o} to {c}",
            "let {o} be {c}",
            "have {o} in {c}",
            "turn the {hue} of {o} to {c}",
        ],
        wishes: &[
            "{o} should be {c}",
            "i want {o} to be {c}",
            "{o} in {c}",
            "i would like {o} to be {c}",
        ],
    },
    Templates {
        orders: &[
            "make the {hue} of {o} {c}",
            "paint {o} with the {hue} {c}",
            "give {o} the {hue} {c}",
            "let the {hue} of {o} be {c}",
            "switch the {hue} of {o} to {c}",
        ],
        wishes: &[
            "i would like {o} in {c}",
            "the {hue} of {o} should be {c}",
            "i want {o} in {c}",
        ],
    },
];

const BIGGER: [Templates; 2] = [
    Templates {
        orders: &[
            "make {o} bigger",
            "make {o} larger",
            "enlarge {o}",
            "grow {o}",
            "make {o} big",
            "scale {o} up",
            "scale up {o}",
            "increase the size of {o}",
            "let {o} grow",
            "make {o} much bigger",
            "blow up {o}",
            "give {o} a bigger size",
            "turn {o} into a larger one",
            "make {o} grow",
            "make {o} twice as big",
            "double the size of {o}",
            "make {o} double the size",
        ],
        wishes: &[
            "{o} should be bigger",
            "i want {o} to be larger",
            "{o} but bigger",
            "i would like {o} to be bigger",
        ],
    },
    Templates {
        orders: &[
            "make the size of {o} bigger",
            "have {o} grow",
            "let {o} be larger",
            "give {o} a larger size",
            "let {o} be twice as big",
            "increase {o} in size",
        ],
        wishes: &[
            "{o} should be larger",
            "i want {o} to be bigger",
            "{o} should grow",
        ],
    },
];

const SMALLER: [Templates; 2] = [
    Templates {
        orders: &[
            "make {o} smaller",
            "shrink {o}",
            "make {o} small",
            "reduce {o}",
            "reduce the size of {o}",
            "scale {o} down",
            "scale down {o}",
            "decrease the size of {o}",
            "let {o} shrink",
            "make {o} much smaller",
            "make {o} little",
            "give {o} a smaller size",
            "turn {o} into a smaller one",
            "make {o} shrink",
            "make {o} tiny",
            "make {o} half as big",
            "make {o} half the size",
            "halve the size of {o}",
            "shrink {o} to half the size",
        ],
        wishes: &[
            "{o} should be smaller",
            "i want {o} to be smaller",
            "{o} but smaller",
            "i would like {o} to be small",
        ],
    },
    Templates {
        orders: &[
            "make the size of {o} smaller",
            "have {o} shrink",
            "let {o} be smaller",
            "let {o} be half as big",
            "shrink the size of {o}",
            "reduce {o} in size",
        ],
        wishes: &[
            "i would like {o} to be smaller",
            "{o} should shrink",
            "i want {o} to be small",
        ],
    },
];

const MOVE: [Templates; 2] = [
    Templates {
        orders: &[
            "move {o} {to}",
            "put {o} {at}",
            "place {o} {at}",
            "shift {o} {to}",
            "slide {o} {to}",
            "bring {o} {to}",
            "drag {o} {to}",
            "take {o} {to}",
            "carry {o} {to}",
            "push {o} {to}",
            "set {o} {at}",
            "transfer {o} {to}",
            "send {o} {to}",
            "change the place of {o} to be {at}",
            "let {o} move {to}",
            "move {o} so that it is {at}",
        ],
        wishes: &[
            "{o} should be {at}",
            "i want {o} to be {at}",
            "{o} should move {to}",
            "i would like {o} to be {at}",
        ],
    },
    Templates {
        orders: &[
            "have {o} move {to}",
            "shift {o} so that it is {at}",
            "make {o} move {to}",
            "let {o} be {at}",
            "push {o} so that it is {at}",
        ],
        wishes: &[
            "i want {o} {at}",
            "i want {o} to move {to}",
            "the place of {o} should be {at}",
        ],
    },
];

const REPLACE: [Templates; 2] = [
    Templates {
        orders: &[
            "replace {o} with {n}",
            "replace {o} by {n}",
            "swap {o} for {n}",
            "swap {o} with {n}",
            "exchange {o} for {n}",
            "change {o} into {n}",
            "turn {o} into {n}",
            "make {o} into {n}",
            "transform {o} into {n}",
            "substitute {n} for {o}",
            "put {n} in place of {o}",
            "put {n} where {o} is",
            "switch {o} for {n}",
            "convert {o} to {n}",
            "trade {o} for {n}",
            "let {o} become {n}",
            "draw {n} instead of {o}",
        ],
        wishes: &[
            "{n} instead of {o}",
            "i want {n} instead of {o}",
            "{o} should be {n}",
            "{o} should become {n}",
        ],
    },
    Templates {
        orders: &[
            "put {n} instead of {o}",
            "have {n} in place of {o}",
            "exchange {o} with {n}",
            "convert {o} into {n}",
            "make {o} become {n}",
        ],
        wishes: &[
            "there should be {n} instead of {o}",
            "i would like {n} in place of {o}",
            "there should be {n} where {o} is",
        ],
    },
];
