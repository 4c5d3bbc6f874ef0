//! Edits a folder of photos on several devices; begun again, it goes on:
//! `cargo run --release -p ip2p-batch --example devices -- MODEL PHOTOS "make it snowy" OUTPUT_FOLDER flex,flex`

use std::ops::ControlFlow;

use ip2p::{Model, Precision, device_by_name};
use ip2p_batch::{Batch, Defaults, Event, Jobs, Worker, write_page};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, photos, instruction, output, devices] = arguments.as_slice() else {
        anyhow::bail!("usage: devices MODEL PHOTOS INSTRUCTION OUTPUT_FOLDER DEVICE,...");
    };
    let defaults = Defaults::default().with_instruction(instruction);
    let jobs = Jobs::open(std::slice::from_ref(photos), &defaults)?;
    let model = Model::open(model)?;
    let plan = Batch::new(jobs, output).plan(&model, Precision::F32)?;
    println!(
        "{} are there, {} are to be made",
        plan.already(),
        plan.to_make()
    );

    let mut workers = Vec::new();
    for name in devices.split(',') {
        let device = device_by_name(name)?;
        let editor = model.clone().load(&device, Precision::F32, &mut |_| ())?;
        workers.push(Worker::new(editor, name));
    }
    let done = plan.run(&workers, &mut |event| {
        match event {
            Event::Made(made) => println!("{}", made.output),
            Event::Lost { device, reason, .. } => println!("{device} is lost: {reason}"),
            _ => {}
        }
        ControlFlow::Continue(())
    })?;
    for failure in &done.failures {
        println!("{}: {}", failure.place, failure.reason);
    }
    println!("see {}", write_page(output)?.display());
    Ok(())
}
