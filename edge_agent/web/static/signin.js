// The sign-in page: uses up the link in the address's fragment, or sends a name and a password.

const message = document.getElementById("message");
const form = document.getElementById("password-form");

function say(text, failed = false) {
  message.textContent = text;
  message.classList.toggle("failed", failed);
}

function showForm() {
  form.hidden = false;
  document.getElementById("link-help").hidden = false;
}

async function signIn(body) {
  let response;
  try {
    response = await fetch("/signin", {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Edge-Request": "1" },
      body: JSON.stringify(body),
    });
  } catch {
    return "The appliance does not answer. Is this device on the same network?";
  }
  if (response.ok) {
    location.replace("/");
    return "";
  }
  const problem = await response.json().catch(() => ({}));
  const wait = response.headers.get("Retry-After");
  return (problem.detail || "Signing in failed.") + (wait ? ` (${wait} s)` : "");
}

async function begin() {
  const link = location.hash.slice(1);
  if (link) {
    // Out of the address bar and the history at once: it must not be bookmarked, nor seen over a shoulder.
    history.replaceState(null, "", "/signin");
    say("Signing in…");
    const problem = await signIn({ link });
    if (problem) {
      say(capital(problem), true);
      showForm();
    }
    return;
  }
  // Coming from another site's link the browser withheld the cookie (SameSite=Strict); asked from here it does not.
  const session = await fetch("/api/v1/session").catch(() => null);
  if (session?.ok) location.replace("/");
  else showForm();
}

function capital(text) {
  return text[0].toUpperCase() + text.slice(1) + (/[.!?)]$/.test(text) ? "" : ".");
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  const problem = await signIn({ user: form.user.value, password: form.password.value });
  button.disabled = false;
  if (problem) {
    say(capital(problem), true);
    form.password.value = "";
    form.password.focus();
  }
});

addEventListener("hashchange", begin);
begin();
