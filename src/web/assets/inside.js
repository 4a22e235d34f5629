// The form works without this; it is only told that something happens, and a photo may be dropped or pasted.

const photo = document.getElementById("photo");
const form = document.getElementById("walk");
const say = (text) => { document.getElementById("status").textContent = text; };

form.addEventListener("submit", () => say("Walking through the network …"));
// Whoever comes back by the browser's button finds the form as it was.
window.addEventListener("pageshow", () => say(""));

const take = (files) => {
  if (files.length === 0) return;
  photo.files = files;
  form.requestSubmit();
};
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  take(event.dataTransfer.files);
});
document.addEventListener("paste", (event) => take(event.clipboardData.files));
