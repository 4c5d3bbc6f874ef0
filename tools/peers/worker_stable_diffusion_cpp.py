"""stable-diffusion.cpp: whole edits of one and of several steps; a step is what the others take longer by."""

from measure import report, seconds, settings
from PIL import Image
from stable_diffusion_cpp import StableDiffusion


def main():
    wanted = settings()
    size, steps = wanted["size"], int(wanted["steps"])
    model = StableDiffusion(model_path=wanted["single"], n_threads=int(wanted["threads"]), verbose=False)
    photo = Image.effect_noise((size, size), 64).convert("RGB")

    def edit(count):
        model.generate_image(
            prompt="make it snowy",
            ref_images=[photo],
            width=size,
            height=size,
            sample_steps=count,
            cfg_scale=7.5,
            image_cfg_scale=1.5,
            seed=0,
        )

    edit(1)
    one, several = seconds(lambda: edit(1)), seconds(lambda: edit(1 + steps))
    report(step_s=(several - one) / steps)


main()
