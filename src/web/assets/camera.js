// A photo from the camera: seen in the page where the browser allows it, else by the phone's own camera program.

const byId = (id) => document.getElementById(id);

/** Lets the button open the camera, and gives each photo that is taken to `take`. */
export function camera(take) {
  const [dialog, video, note, shoot] = ["camera", "video", "camera-note", "shoot"].map(byId);
  const capture = byId("capture");
  let stream = null;

  const stop = () => {
    stream?.getTracks().forEach((track) => track.stop());
    stream = null;
    video.srcObject = null;
  };

  byId("use-camera").addEventListener("click", async () => {
    // Without a secure context (https or this machine) there is no such thing; phones still have their own program.
    if (!navigator.mediaDevices?.getUserMedia) return capture.click();
    note.textContent = "Waiting for the camera …";
    shoot.disabled = true;
    dialog.showModal();
    try {
      const wanted = { video: { facingMode: "environment", width: { ideal: 1920 } }, audio: false };
      const given = await navigator.mediaDevices.getUserMedia(wanted);
      // It may have been closed meanwhile.
      if (!dialog.open) return given.getTracks().forEach((track) => track.stop());
      stream = given;
      video.srcObject = stream;
      await video.play();
      note.textContent = "";
      shoot.disabled = false;
      shoot.focus();
    } catch (error) {
      const refused = error.name === "NotAllowedError";
      note.textContent = refused ? "The camera was not allowed." : "No camera can be used. Choose a photo instead.";
    }
  });

  shoot.addEventListener("click", () => {
    const canvas = document.createElement("canvas");
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext("2d").drawImage(video, 0, 0);
    canvas.toBlob((blob) => {
      dialog.close();
      if (blob) take(new File([blob], "camera.jpg", { type: "image/jpeg" }));
    }, "image/jpeg", 0.92);
  });

  byId("camera-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", stop);
  capture.addEventListener("change", () => {
    [...capture.files].forEach(take);
    capture.value = "";
  });
}
