from web.hooks.receiver import main  # python -m web

if __name__ == "__main__":
    raise SystemExit(main())
