//! Edits within a budget of memory: `--max-memory`.

use ip2p::{
    Bytes, Device, Error, MemoryEdit, MemoryPlan, Model, Precision, Result, device_by_name,
};
use serde::Serialize;

use crate::exit;

/// Where to keep what within what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget<'a> {
    pub(crate) bytes: Option<Bytes>,
    pub(crate) device: &'a str,
    pub(crate) precision: Precision,
    pub(crate) quiet: bool,
}

/// What `--json` says of it.
#[derive(Debug, Serialize)]
pub(crate) struct Kept {
    budget_bytes: Bytes,
    /// What the largest edit takes, told beforehand.
    estimate_bytes: Bytes,
    /// What was chosen for it.
    choices: Vec<String>,
}

impl Budget<'_> {
    /// The model with what these edits need to keep within the budget, if there is one, and what that is; says so.
    pub(crate) fn keep(
        &self,
        model: Model,
        edits: &[MemoryEdit<'_>],
    ) -> Result<(Model, Option<MemoryPlan>)> {
        let Some(plan) = self.plan(&model, edits)? else {
            return Ok((model, None));
        };
        if !self.quiet {
            exit::tell(&said(&plan));
            if !self.device.starts_with("flex") {
                exit::tell(&format!(
                    "the budget is of weights and what the networks compute, on {}; its driver and kernels have memory beside that",
                    self.device
                ));
            }
        }
        Ok((model.with_saving(plan.saving), Some(plan)))
    }

    /// Whether one more edit keeps within it with a model that is loaded.
    pub(crate) fn check(&self, model: &Model, edit: &MemoryEdit<'_>) -> Result<()> {
        let Some(budget) = self.bytes else {
            return Ok(());
        };
        let uses = model.memory(edit, self.precision, &self.first_device()?)?;
        if uses.total() <= budget {
            return Ok(());
        }
        let expected = format!(
            "at least {} with these settings ({uses}), or the command begun with them",
            uses.total()
        );
        Err(Error::setting("max_memory", expected, budget))
    }

    fn plan(&self, model: &Model, edits: &[MemoryEdit<'_>]) -> Result<Option<MemoryPlan>> {
        let plan = |bytes| model.plan_memory(bytes, edits, self.precision, &self.first_device()?);
        self.bytes.map(plan).transpose()
    }

    /// Of several devices each has a budget; they have the same to hold.
    fn first_device(&self) -> Result<Device> {
        let first = self.device.split(',').next().unwrap_or_default();
        device_by_name(first.trim())
    }
}

impl Kept {
    pub(crate) fn of(plan: &MemoryPlan) -> Self {
        Self {
            budget_bytes: plan.budget,
            estimate_bytes: plan.uses.total(),
            choices: plan.saving.choices(),
        }
    }
}

/// One line for people.
fn said(plan: &MemoryPlan) -> String {
    let how = match &*plan.saving.choices() {
        [] => "as it is".to_owned(),
        choices => format!("by {}", choices.join(", ")),
    };
    format!(
        "within {}: at most {}, {how}",
        plan.budget,
        plan.uses.total()
    )
}
